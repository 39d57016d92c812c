"""MMCL from arrays, in a plain PyTorch loop: no files, no trainer.

python examples/loop_mmcl.py
"""

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from kinelex import encoders
from kinelex.methods import MMCL

rng, epochs = np.random.default_rng(0), 4
torch.manual_seed(0)
# Your clips (N, C, T, V, M), their classes, and the embeddings of a text and of a picture of each (N, D).
labels = rng.integers(4, size=96)
clips = rng.normal(size=(4, 3, 1, 25, 1))[labels] + 0.5 * rng.normal(size=(96, 3, 24, 25, 1))
prompts = {
    "language": rng.normal(size=(4, 384))[labels] + 0.5 * rng.normal(size=(96, 384)),
    "vision": rng.normal(size=(4, 1280))[labels] + 0.5 * rng.normal(size=(96, 1280)),
}

encoder = encoders.create("ctrgcn", layout="ntu25", channels=8, depth=(1, 1, 1))
method = MMCL(encoder, num_classes=4, prompts=prompts)
optimizer = torch.optim.SGD(method.trained_parameters(), lr=0.02, momentum=0.9, nesterov=True)
tensors = [torch.from_numpy(values).float() for values in (clips, *prompts.values())]
loader = DataLoader(TensorDataset(*tensors, torch.from_numpy(labels)), batch_size=32, shuffle=True)

for epoch in range(epochs):
    for x, language, vision, y in loader:
        out = method(x, prompts={"language": language, "vision": vision}, labels=y)
        optimizer.zero_grad()
        out.loss.backward()
        optimizer.step()
    print(f"epoch {epoch + 1}: loss {out.loss.item():.2f}, accuracy {out.logs['accuracy/joint']:.2f}")

with torch.inference_mode():  # skeletons alone
    scores = method.classifiers["joint"](encoder.eval()(tensors[0]))
    print("right:", float((scores.argmax(dim=1) == torch.from_numpy(labels)).float().mean()))
