"""CMD from arrays, in a plain PyTorch loop: no files, no trainer, no labels.

python examples/loop_cmd.py
"""

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from kinelex import encoders
from kinelex.methods import CMD

rng, epochs = np.random.default_rng(0), 4
torch.manual_seed(0)
# Your clips (N, C, T, V, M): joints, of which the other streams are made.
clips = rng.normal(size=(96, 3, 1, 25, 1)) + 0.2 * rng.normal(size=(96, 3, 24, 25, 1))

streams = {name: encoders.create("gru", layout="ntu25", hidden=32) for name in ("joint", "motion", "bone")}
method = CMD(streams, dim=16, queue=64, top_k=32)
optimizer = torch.optim.SGD(method.trained_parameters(), lr=0.1, momentum=0.9)
loader = DataLoader(TensorDataset(torch.from_numpy(clips).float()), batch_size=32, shuffle=True)


def view(x):
    """An augmentation of each clip; see kinelex.transforms for the published ones."""
    return x + 0.1 * torch.randn_like(x)


for epoch in range(epochs):
    for (x,) in loader:
        out = method(torch.cat([view(x), view(x)]))  # queries' views, then keys'
        optimizer.zero_grad()
        out.loss.backward()
        optimizer.step()
    print(f"epoch {epoch + 1}: loss {out.loss.item():.2f}")

with torch.inference_mode():
    print("features:", tuple(method.encoders["joint"].eval()(torch.from_numpy(clips).float()).shape))
