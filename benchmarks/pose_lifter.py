"""Teaches the pose lifter, which guesses the depth of poses in a picture: what `lift_pose` reads with.

    kinelex prepare actors --out actors.arrow --clips 19200 --actions all
    python benchmarks/pose_lifter.py actors.arrow --protocol xsub --out lifter.safetensors

The first person of each clip is stood upright and seen from a side drawn at random, as a far camera sees it.
Sensors differ in where they put joints and in how upright a body stands: each clip's joints are moved a
little, all the time alike, the body leans, and what the picture shows is noisy. Written are weights in half
precision. `--judge STORE` also says how far depths are off, in all clips of another store, beside what "no
depth" is off, in shares of the body's size.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

import kinelex
from kinelex.data import SkeletonStore
from kinelex.data.dataset import ClipDataset
from kinelex.data.several import SeveralStores
from kinelex.data.splits.several import protocols_of
from kinelex.data.splits.split import get_split
from kinelex.transforms import AlignBody, Centre, Compose, CropResize, PersonPlaces, Retarget, SwapSides
from kinelex.transforms.base import batch_of, clips_of
from kinelex.transforms.frames import chance
from kinelex.transforms.lift import CORE, PoseLifter, packed, upright
from kinelex.transforms.spatial import rotate, rotation_matrices


def prepared(store: SkeletonStore, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """The first person of each clip, 64 frames in the body's own frame, and which joints are there."""
    steps = [
        CropResize(64),
        PersonPlaces(1),
        Retarget(CORE, "partial"),
        Centre("pelvis", "mean"),
        AlignBody(),
    ]
    prepare, dataset = Compose(steps, store.layout), ClipDataset(store, rows=rows)
    parts = DataLoader(dataset, batch_size=256, collate_fn=dataset.collate)
    x, presence = map(torch.cat, zip(*(clips_of(prepare(part)) for part in parts), strict=True))
    return x, presence


def chosen(x: Tensor, there: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """Some clips as training sees them, in part: (N, 3, 32, 16, 1), and which joints are there."""
    length = int(torch.randint(20, 65, (1,), generator=draws))
    start = int(torch.randint(0, 65 - length, (1,), generator=draws))
    frames = (start + torch.linspace(0, length - 1, 32)).round().long()
    mirror, n = Compose([SwapSides(0.5)], CORE), len(x)
    x, there = clips_of(mirror(batch_of(x[:, :, frames], there[:, :, frames]), draws))
    x = x * (1 + 0.1 * torch.randn(n, 3, 1, 1, 1, generator=draws))
    size = x.square().sum(dim=1).mean(dim=(1, 2, 3)).sqrt().view(n, 1, 1, 1, 1)
    x = x + 0.12 * size * torch.rand(n, 1, 1, 1, 1, generator=draws) * torch.randn(
        n, 3, 1, 16, 1, generator=draws
    )
    lean = 0.15 * torch.randn(n, 1, 1, 1, generator=draws) * x[:, 2]
    x = torch.stack([x[:, 0], x[:, 1] + lean, x[:, 2]], dim=1)
    hidden = (torch.rand(n, 1, 1, 16, 1, generator=draws) < 0.15) & chance(n, 0.4, draws)
    return x, there & ~hidden


def seen(x: Tensor, there: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Clips in a picture, which joints are there, and how far each is before the pelvis."""
    angles = torch.randn(len(x), 3, generator=draws) * torch.tensor([0.25, 0.1, 0])
    about = torch.rand(len(x), 1, generator=draws) * torch.tensor([0, 0, 2 * math.pi])
    right, away, up = rotate(rotate(x, rotation_matrices(about)), rotation_matrices(angles))[..., 0].unbind(1)
    presence = there[..., 0]
    plane, size = upright(torch.stack([right, up], dim=1) * presence, presence)
    depth = (away[..., CORE.root, None] - away) / size.clamp(min=1e-6)[:, None, None]
    return plane, presence, depth * presence[:, 0]


def judged(lifter: PoseLifter, x: Tensor, presence: Tensor) -> tuple[float, float]:
    """Mean error of the depths, and of "no depth", of joints beyond the pelvis."""
    plane, there, depth = seen(x, presence, torch.Generator().manual_seed(1))
    with torch.inference_mode():
        error = (lifter.eval()(plane, there) * there[:, 0] - depth).abs()
    lifter.train()
    return float(error.sum() / there.sum()), float(depth.abs().sum() / there.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("stores", type=Path, nargs="+")
    parser.add_argument(
        "--protocol", required=True, help="of all stores, or of each with commas between them"
    )
    parser.add_argument("--judge", type=Path, nargs="*", default=[])
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    torch.manual_seed(0)
    draws, lifter = torch.Generator().manual_seed(0), PoseLifter(asked.width)
    stores = SeveralStores([kinelex.open_store(path) for path in asked.stores])
    named = zip(stores.stores, protocols_of(stores, asked.protocol), strict=True)
    parts = [prepared(store, get_split(store, protocol).train) for store, protocol in named]
    x, presence = map(torch.cat, zip(*parts, strict=True))
    share = torch.cat([torch.full((len(part),), len(part) ** -0.5) for part, _ in parts])
    others = {
        store.stem: prepared(s := kinelex.open_store(store), np.arange(len(s))) for store in asked.judge
    }
    optimizer = torch.optim.AdamW(lifter.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, asked.steps + 1, pct_start=0.05)
    for step in range(1, asked.steps + 1):
        rows = torch.multinomial(share, 64, True, generator=draws)
        plane, there, depth = seen(*chosen(x[rows], presence[rows], draws), draws)
        plane = (plane + 0.03 * torch.randn(plane.shape, generator=draws)) * there
        loss = F.smooth_l1_loss(lifter(plane, there) * there[:, 0], depth, beta=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 1000 == 0 or step == asked.steps:
            told = ", ".join(
                "{} {:.3f} ({:.3f})".format(name, *judged(lifter, *one)) for name, one in others.items()
            )
            print(f"step {step}: loss {loss.item():.4f}; {told}", flush=True)
    asked.out.write_bytes(packed(lifter))


if __name__ == "__main__":
    main()
