"""How fast clips are normalised in batches, against a loop over persons, frames and joints.

    python benchmarks/normalise.py [--clips 1000] [--frames 64] [--repeats 5] [--out benchmarks/normalise.csv]

The loop is the usual way of preparation scripts: for every joint of every frame one subtraction and one
product with a rotation matrix, in numpy. It runs on a part of the clips and its time is scaled up. Both do
CMD's pre-normalisation: centre on the spine of the first frame, hip → spine to z, right → left shoulder to x.
Batches run on one thread and on all.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kinelex.skeleton import SkeletonLayout, get_layout
from kinelex.transforms import align_body, centre

LOOPED = 20


def in_batches(x: Tensor, layout: SkeletonLayout, size: int = 100) -> Tensor:
    """Ours, 100 clips at a time."""
    return torch.cat([align_body(centre(part, layout, "first"), layout, "body") for part in x.split(size)])


def turn(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The smallest rotation from one direction to another."""
    source = source / np.linalg.norm(source)
    axis, cosine = np.cross(source, target), source @ target
    skew = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + skew + skew @ skew / (1 + cosine)


def in_a_loop(clips: np.ndarray, layout: SkeletonLayout) -> np.ndarray:
    """Joint by joint; clips (N, C, T, V, M)."""
    names = ("pelvis", "spine", "right_shoulder", "left_shoulder")
    hip, spine, right, left = (layout.index(name) for name in names)
    result = clips.copy()
    _, _, frames, joints, persons = clips.shape
    for clip in result:
        origin = clip[:, 0, spine, 0].copy()
        for m in range(persons):
            for t in range(frames):
                for v in range(joints):
                    clip[:, t, v, m] = clip[:, t, v, m] - origin
        for start, end, axis in ((hip, spine, (0.0, 0.0, 1.0)), (right, left, (1.0, 0.0, 0.0))):
            matrix = turn(clip[:, 0, end, 0] - clip[:, 0, start, 0], np.array(axis))
            for m in range(persons):
                for t in range(frames):
                    for v in range(joints):
                        clip[:, t, v, m] = matrix @ clip[:, t, v, m]
    return result


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median time of some runs, after one that does not count."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/normalise.csv"))
    given = parser.parse_args()
    layout = get_layout("ntu25")
    x = torch.randn(given.clips, 3, given.frames, 25, 2, generator=torch.Generator().manual_seed(0))
    part = x[:LOOPED].numpy()
    apart = np.abs(in_a_loop(part, layout) - in_batches(x[:LOOPED], layout).numpy()).max()
    threads = torch.get_num_threads()
    loop = seconds(lambda: in_a_loop(part, layout), 1) * given.clips / LOOPED
    torch.set_num_threads(1)
    one = seconds(lambda: in_batches(x, layout), given.repeats)
    torch.set_num_threads(threads)
    more = seconds(lambda: in_batches(x, layout), given.repeats)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    row = {
        "date": datetime.date.today().isoformat(),
        "commit": commit.stdout.strip(),
        "hardware": f"{platform.machine()}, {threads} threads, torch {torch.__version__}",
        "clips": given.clips,
        "frames": given.frames,
        "loop_s": round(loop, 2),
        "batched_1_thread_s": round(one, 4),
        "batched_s": round(more, 4),
        "ratio_1_thread": round(loop / one, 1),
        "ratio": round(loop / more, 1),
        "largest_difference": f"{apart:.1e}",
    }
    for name, value in row.items():
        print(f"{name:20} {value}")
    with open(given.out, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row)
        writer.writeheader()
        writer.writerow(row)


if __name__ == "__main__":
    main()
