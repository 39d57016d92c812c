"""How fast a store of NTU RGB+D 60's size opens and delivers random clips, resampled to 64 frames.

    python benchmarks/store.py [--clips 56880] [--threads 2] [--folder DIR] [--out benchmarks/store.csv]

The clips are generated: 25 joints, about 80 frames, one person in three of four. Opening is timed in fresh
processes that have imported kinelex.data. Clips are drawn in random order, cropped at random and resized, as
training does it; the plain way does the same clip by clip, as the data sets of other toolkits do in
`__getitem__`. Rates are per second of the clock and per second of processor time: on a busy machine they
differ. The file is in the page cache.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from prepare import write_table
from torch.nn import functional as F

from kinelex.data import Sequence, SkeletonStore, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.data.loader import SkeletonLoader
from kinelex.skeleton import get_layout
from kinelex.transforms.temporal import Crop, apply_plan, resize_plan, sample_crop

BATCH, FRAMES, RATIO = 256, 64, (0.5, 1.0)
OPEN = (
    "import sys, time, kinelex.data as s; t = time.perf_counter(); s.open_store(sys.argv[1]); "
    "print(time.perf_counter() - t)"
)


def write_store(path: Path, clips: int) -> None:
    """A store of clips that are cut from one long random movement."""
    rng = np.random.default_rng(0)
    pool = rng.normal(size=(4000, 2, 25, 3)).astype(np.float32)
    names = tuple(f"action {i}" for i in range(60))
    with SkeletonStoreWriter(path, StoreMeta("ntu60", get_layout("ntu25"), names)) as writer:
        for i in range(clips):
            frames, start = int(np.clip(rng.gamma(8, 10), 20, 300)), int(rng.integers(0, 3600))
            x = pool[start : start + frames, : 1 + (rng.random() < 0.25)]
            writer.add(Sequence(f"clip{i:06d}", x, label=i % 60, subject=i % 40 + 1, camera=i % 3 + 1))


def opening_seconds(path: Path, times: int = 7) -> list[float]:
    """Seconds to open the store, each in a process of its own."""
    command = [sys.executable, "-c", OPEN, str(path)]
    return [float(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(times)]


def plain_batch(store: SkeletonStore, rows: np.ndarray, crop: Crop, persons: int = 2) -> torch.Tensor:
    """The batch clip by clip: pad persons, crop, interpolate, stack."""
    clips = []
    for i, row in enumerate(rows.tolist()):
        x = store.sequence(row)  # (T, M, V, C)
        start, length = int(crop.start[i]), int(crop.length[i])
        padded = np.zeros((len(x), persons, *x.shape[2:]), np.float32)
        padded[:, : x.shape[1]] = x
        part = torch.from_numpy(padded[start : start + length]).flatten(1).T[None]  # (1, MVC, length)
        resized = F.interpolate(part, size=FRAMES, mode="linear")[0].view(*padded.shape[1:], FRAMES)
        clips.append(resized.permute(2, 3, 1, 0))  # (C, T, V, M)
    return torch.stack(clips)


def timed(step: Callable[[int], int], seconds: float) -> tuple[float, float]:
    """Clips per second of the clock and of the processor, after three steps to warm up."""
    for number in range(3):
        step(number)
    clips, number, start, cpu = 0, 3, time.perf_counter(), time.process_time()
    while time.perf_counter() - start < seconds:
        clips += step(number)
        number += 1
    return clips / (time.perf_counter() - start), clips / (time.process_time() - cpu)


def rates(store: SkeletonStore, seconds: float) -> dict[str, tuple[float, float]]:
    """Clips per second of every way."""
    found = {}
    for placement in ("mmap", "memory"):
        loader = SkeletonLoader(store, np.arange(len(store)), BATCH, shuffle=True, placement=placement)
        order = np.resize(loader.order(0), (10 * len(store) // BATCH, BATCH))

        def draw(number: int, order: np.ndarray = order) -> tuple[np.ndarray, Crop]:
            rows = order[number % len(order)]
            generator = torch.Generator().manual_seed(number)
            return rows, sample_crop(torch.from_numpy(store.lengths[rows]), RATIO, generator=generator)

        def ours(number: int, loader: SkeletonLoader = loader) -> torch.Tensor:
            rows, crop = draw(number)
            x = apply_plan(loader.batch(rows), resize_plan(crop, FRAMES)).x
            assert x is not None
            return x

        def plain(number: int) -> torch.Tensor:
            return plain_batch(store, *draw(number))

        torch.testing.assert_close(ours(0), plain(0), atol=1e-4, rtol=1e-4)
        if not found:
            found["plain way"] = timed(lambda number: len(plain(number)), seconds)
        found[placement] = timed(lambda number: len(ours(number)), seconds)
    return found


def main() -> None:
    """Read the arguments, measure, print and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=56880)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5.0, help="measured per way")
    parser.add_argument("--folder", type=Path, help="where the store is put for the time being")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "store.arrow"
        write_store(path, options.clips)
        size = f"{options.clips} clips, {path.stat().st_size / 1e9:.2f} GB"
        opening = sorted(opening_seconds(path))
        found = rates(open_store(path), options.seconds)
    rows: list[dict[str, object]] = [
        {"what": f"open, median ({size})", "seconds": f"{opening[len(opening) // 2]:.3f}"}
    ]
    rows.append({"what": "open, slowest of 7", "seconds": f"{opening[-1]:.3f}"})
    for name, (wall, cpu) in found.items():
        times = cpu / found["plain way"][1]
        rates_of = {"clips/s": f"{wall:.0f}", "clips/s per core": f"{cpu:.0f}"}
        rows.append({"what": f"random clips, {name}", **rates_of, "times plain": f"{times:.1f}"})
    columns = ["what", "seconds", "clips/s", "clips/s per core", "times plain"]
    write_table(options.out, rows, columns, threads=str(options.threads))


if __name__ == "__main__":
    main()
