"""SOfA from arrays of two skeletons, in a plain PyTorch loop: no files, no trainer, no labels.

python examples/loop_sofa.py
"""

import numpy as np
import torch

from kinelex import encoders
from kinelex.methods import SOFA
from kinelex.skeleton import get_layout

rng, epochs = np.random.default_rng(0), 4
torch.manual_seed(0)
# Your clips (N, C, T, V, M) of ntu25: absent joints are 0.
clips = rng.normal(size=(96, 3, 1, 25, 1)) + 0.2 * rng.normal(size=(96, 3, 32, 25, 1))
clips = torch.from_numpy(clips).float()

method = SOFA(encoders.create("slots", layout="ntu25", dim=32, depth=2, heads=2), prototypes=32, dim=16)
optimizer = torch.optim.AdamW(method.trained_parameters(), lr=2e-3)


def view(x):
    """An augmentation of each clip; see preset("sofa_augmentations") of kinelex.transforms for SOfA's."""
    return x * (0.8 + 0.4 * torch.rand(len(x), 3, 1, 1, 1))


for epoch in range(epochs):
    method.on_epoch_start(epoch, epochs)
    for x in clips[torch.randperm(96)].split(16):
        out = method(torch.cat([view(x), view(x)]))  # first views, then second ones
        optimizer.zero_grad()
        out.loss.backward()
        optimizer.step()
    method.on_epoch_end()
    print(f"epoch {epoch + 1}: loss {out.loss.item():.2f}")

encoder = method.encoders["joint"].eval()
coco = encoder.for_layout(get_layout("coco17"))  # the same weights for another skeleton
with torch.inference_mode():
    print("features:", tuple(encoder(clips).shape), tuple(coco(torch.randn(4, 3, 64, 17, 1)).shape))
