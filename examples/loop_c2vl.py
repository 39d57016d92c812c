"""C2VL from arrays, in a plain PyTorch loop: no files, no trainer.

python examples/loop_c2vl.py
"""

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from kinelex import encoders
from kinelex.methods import C2VL, Prompts

rng, epochs = np.random.default_rng(0), 4
torch.manual_seed(0)
# Your clips (N, C, T, V, M), and the embeddings of P sentences about each (N, P, D).
kinds = rng.integers(4, size=96)
clips = rng.normal(size=(4, 3, 1, 25, 1))[kinds] + 0.5 * rng.normal(size=(96, 3, 24, 25, 1))
sentences = rng.normal(size=(4, 1, 384))[kinds] + 0.5 * rng.normal(size=(96, 5, 384))
present = rng.random(96) < 0.9  # a few clips have no sentences

encoder = encoders.create("stgcn", layout="ntu25", channels=4)
method = C2VL(
    encoder, prompts={"language": Prompts(sentences, present=present)}
)  # for widths, mean and scale
optimizer = torch.optim.AdamW(method.trained_parameters(), lr=1e-3)
tensors = (torch.from_numpy(clips).float(), torch.from_numpy(sentences).float(), torch.from_numpy(present))
loader = DataLoader(TensorDataset(*tensors), batch_size=32, shuffle=True)

for epoch in range(epochs):
    method.on_epoch_start(epoch, epochs)  # the teacher's share of the targets grows
    for x, language, there in loader:
        out = method(x, prompts={"language": Prompts(language, present=there)})
        optimizer.zero_grad()
        out.loss.backward()
        optimizer.step()
    method.on_epoch_end()  # the teacher becomes the network as it stands
    print(f"epoch {epoch + 1}: loss {out.loss.item():.2f}")

with torch.inference_mode():
    print("features:", tuple(encoder.eval()(tensors[0]).shape))
