"""A supervised classifier from arrays, in a plain PyTorch loop: no files, no trainer.

python examples/loop_supervised.py
"""

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from kinelex import encoders
from kinelex.methods import Supervised

rng, epochs = np.random.default_rng(0), 4
torch.manual_seed(0)
# Your clips (N, C, T, V, M) and their classes.
labels = rng.integers(4, size=96)
clips = rng.normal(size=(4, 3, 1, 25, 1))[labels] + 0.5 * rng.normal(size=(96, 3, 24, 25, 1))

encoder = encoders.create("stgcn", layout="ntu25", channels=4)
method = Supervised(encoder, num_classes=4, label_smoothing=0.1)
optimizer = torch.optim.SGD(method.trained_parameters(), lr=0.05, momentum=0.9)
x, y = torch.from_numpy(clips).float(), torch.from_numpy(labels)
loader = DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True)

for epoch in range(epochs):
    for batch, truth in loader:
        out = method(batch, labels=truth)
        optimizer.zero_grad()
        out.loss.backward()
        optimizer.step()
    print(f"epoch {epoch + 1}: loss {out.loss.item():.2f}, accuracy {out.logs['accuracy/joint']:.2f}")

with torch.inference_mode():
    scores = method.classifiers["joint"](encoder.eval()(x))
    print("right:", float((scores.argmax(dim=1) == y).float().mean()))
