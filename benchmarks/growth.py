"""How seconds and memory grow with clips, frames, persons, batch and classes, with a fitted exponent of each.

    python benchmarks/growth.py [--steps write,knn] [--most 60] [--folder DIR] [--out benchmarks/growth.csv]

Every measurement is a process of its own on generated clips of NTU RGB+D's 25 joints: seconds of the
processor (all threads and child processes) of the step alone, the most anonymous memory (RssAnon) that the
process held while it ran, and how much of it was more than before. Pages of mapped files are the page cache's
and not counted. A row of growing values ends where the next would take more than ``--most`` seconds. The
exponent is the slope of log seconds over log value, by the last three values, where what is the same for all
counts least: 1 is linear. Encoders are narrow (ST-GCN of 8 channels), so that what grows beside them shows.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from prepare import write_files, write_table

CLIPS = (1_000, 4_000, 16_000, 56_880, 114_480)
FRAMES, PERSONS, BATCHES, CLASSES = (32, 100, 300, 1_200), (1, 2, 4, 8), (16, 64, 256), (10, 60, 240)
FEW, WIDTH, MAP = (256, 512, 1_024, 2_048), 256, 1_500


@dataclass(frozen=True)
class Size:
    """What a measurement is made of; the axis that grows takes other values than these."""

    clips: int
    frames: int = 64
    persons: int = 1
    batch: int = 64
    classes: int = 60


class Measured:
    """Seconds of the processor and anonymous memory of a block."""

    def __init__(self) -> None:
        self.seconds = self.before = self.peak = 0.0

    @contextmanager
    def __call__(self):  # noqa: ANN204
        """Measure the block."""
        ended = threading.Event()
        self.before = self.peak = anonymous()

        def watch() -> None:
            while not ended.wait(0.02):
                self.peak = max(self.peak, anonymous())

        watcher, start = threading.Thread(target=watch), processor()
        watcher.start()
        yield
        self.seconds, self.peak = processor() - start, max(self.peak, anonymous())
        ended.set()
        watcher.join()


def processor() -> float:
    """Seconds that this process and its children have computed."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def anonymous() -> float:
    """Megabytes of this process that no file holds."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def write(path: Path, size: Size) -> Path:
    """A store of clips that are cut from one long random movement."""
    from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta
    from kinelex.skeleton import get_layout

    rng = np.random.default_rng(0)
    pool = rng.normal(size=(4_000, size.persons, 25, 3)).astype(np.float32)
    names = tuple(f"action {i}" for i in range(size.classes))
    with SkeletonStoreWriter(path, StoreMeta("ntu120", get_layout("ntu25"), names)) as writer:
        for i, start in enumerate(rng.integers(0, 4_000 - size.frames, size.clips).tolist()):
            about = {"label": i % size.classes, "subject": i % 106 + 1, "camera": i % 3 + 1}
            writer.add(Sequence(f"clip{i:06d}", pool[start : start + size.frames], **about))
    return path


def store_of(folder: Path, size: Size) -> Path:
    """The store of a size, written once."""
    path = folder / f"{size.clips}_{size.frames}_{size.persons}_{size.classes}.arrow"
    return path if path.exists() else write(path, size)


def words(size: Size) -> list[str]:
    """What a training of this size is told: ST-GCN of 8 channels, clips in the file."""
    return [
        *("encoder.name=stgcn", "encoder.channels=8", f"input.frames={size.frames}", "placement=mmap"),
        *(f"batch_size={size.batch}", "epochs=1", "precision=32-true", "accelerator=cpu"),
        f"input.persons={size.persons}",
    ]


def random_features(size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Features of classes that overlap, and the classes."""
    rng = np.random.default_rng(0)
    labels = np.arange(size.clips) % size.classes
    middles = rng.normal(size=(size.classes, WIDTH)) * 0.3
    return (middles[labels] + rng.normal(size=(size.clips, WIDTH))).astype(np.float32), labels


def measure(step: str, size: Size, folder: Path) -> Measured:
    """One step of one size."""
    measured = Measured()
    {name: make for name, _, make in STEPS}[step](size, folder, measured)
    return measured


def _prepare(size: Size, folder: Path, measured: Measured) -> None:
    from kinelex.datasets import prepare

    raw = folder / f"raw{size.clips}"
    if not raw.exists():
        write_files(raw, size.clips)
    with measured():
        prepare("ntu60", raw, folder / "prepared.arrow", progress=False, workers=2)


def _write(size: Size, folder: Path, measured: Measured) -> None:
    write(folder / "written.arrow", Size(clips=1))
    with measured():
        write(folder / "written.arrow", size)


def _open(size: Size, folder: Path, measured: Measured) -> None:
    from kinelex.data import open_store

    path = store_of(folder, size)
    with measured():
        open_store(path)


def _prompts(size: Size, folder: Path, measured: Measured) -> None:
    from kinelex.prompts.make import make_prompts

    path, out = store_of(folder, size), Path(tempfile.mkdtemp(dir=folder)) / "prompts.arrow"
    with measured():
        make_prompts(path, out, "kinematic", progress=False)


def _loading(size: Size, folder: Path, measured: Measured) -> None:
    from kinelex.data import open_store
    from kinelex.data.dataset import ClipDataset
    from kinelex.data.loader import SkeletonLoader

    store = open_store(store_of(folder, size))
    rows = np.arange(len(store))
    with measured():
        clips = ClipDataset(store, rows=rows, placement="mmap")
        for _ in SkeletonLoader(clips, rows, size.batch, shuffle=True):
            pass


def _epoch(size: Size, folder: Path, measured: Measured) -> None:
    from kinelex.training.train import train

    path, out = store_of(folder, size), Path(tempfile.mkdtemp(dir=folder)) / "run"
    with measured():
        train("supervised", path, "xsub", out, overrides=words(size))


def _some_steps(size: Size, folder: Path, measured: Measured) -> None:
    from kinelex.training.cost import cost

    path = store_of(folder, size)
    with measured():
        cost("supervised", path, "xsub", overrides=words(size))


def _features(size: Size, folder: Path, measured: Measured) -> None:
    from kinelex.data import open_store
    from kinelex.inference.features import extract_features
    from kinelex.training.encoder_files import load_encoders
    from kinelex.training.train import train

    path, out = store_of(folder, size), Path(tempfile.mkdtemp(dir=folder)) / "run"
    train("supervised", path, "xsub", out, overrides=[*words(size)[:-1], "epochs=0", words(size)[-1]])
    (encoder,), store = load_encoders(out).values(), open_store(path)
    with measured():
        extract_features(encoder, store, np.arange(len(store)), size.batch)


def _knn(size: Size, folder: Path, measured: Measured) -> None:
    from kinelex.inference.neighbours import knn

    features, labels = random_features(size)
    part = size.clips // 5
    with measured():
        knn(features[part:], labels[part:], features[:part], size.classes)


def _linear(size: Size, folder: Path, measured: Measured) -> None:
    from kinelex.inference.linear_probe import linear_probe

    features, labels = random_features(size)
    with measured():
        linear_probe(features, labels, size.classes)


def _map(size: Size, folder: Path, measured: Measured) -> None:
    from kinelex.reports.run.maps import project

    features, _ = random_features(size)
    with measured():
        project(features[:MAP])


Step = Callable[[Size, Path, Measured], None]
# What grows by which axis; a map shows 1 500 clips at most.
STEPS: tuple[tuple[str, dict[str, tuple[int, ...]], Step], ...] = (
    ("prepare", {"clips": CLIPS[:3]}, _prepare),
    ("write", {"clips": CLIPS, "frames": FRAMES, "persons": PERSONS}, _write),
    ("open", {"clips": CLIPS}, _open),
    ("loading", {"clips": CLIPS, "frames": FRAMES, "persons": PERSONS, "batch": BATCHES}, _loading),
    ("prompts", {"clips": (50, 100, 200, 400)}, _prompts),
    (
        "epoch",
        {"clips": FEW, "frames": FRAMES, "persons": PERSONS, "batch": BATCHES, "classes": CLASSES},
        _epoch,
    ),
    ("some steps", {"clips": CLIPS[2:]}, _some_steps),
    ("features", {"clips": FEW, "frames": FRAMES, "persons": PERSONS, "batch": BATCHES}, _features),
    ("knn", {"clips": CLIPS, "classes": CLASSES}, _knn),
    ("linear", {"clips": CLIPS, "classes": CLASSES}, _linear),
    ("map", {"clips": (375, 750, 1_500, 6_000)}, _map),
)


def row_of(step: str, axis: str, values: tuple[int, ...], folder: Path, most: float) -> list[dict[str, Any]]:
    """Measurements of one step along one axis, each in a process of its own."""
    rows: list[dict[str, Any]] = []
    start = Size(clips=256, frames=32) if step in ("epoch", "features") else Size(clips=600)
    for value in values:
        if len(rows) > 1 and rows[-1]["seconds"] ** 2 / max(rows[-2]["seconds"], 1e-3) > most:
            break
        given = [step, asdict(replace(start, **{axis: value})), str(folder)]
        command = [sys.executable, __file__, "--measure", json.dumps(given)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        rows.append({"step": step, "axis": axis, "value": value, **found})
        print(rows[-1], flush=True)
    last = [row for row in rows if row["seconds"] > 0][-3:]
    if len(last) > 1:
        logs = np.log([[row["value"], row["seconds"]] for row in last])
        rows[-1]["exponent"] = round(float(np.polyfit(*logs.T, 1)[0]), 2)
    return rows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", default=",".join(name for name, _, _ in STEPS))
    parser.add_argument("--most", type=float, default=60.0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/growth.csv"))
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        step, size, folder = json.loads(given.measure)
        found = measure(step, Size(**size), Path(folder))
        more, seconds = round(found.peak - found.before), round(found.seconds, 3)
        print(json.dumps({"seconds": seconds, "mb": round(found.peak), "mb_more": more}))
        return
    rows = list[dict[str, Any]]()
    try:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            for name, axes, _ in STEPS:
                for axis, values in axes.items() if name in given.steps.split(",") else ():
                    rows += row_of(name, axis, values, Path(folder), given.most)
    finally:  # an interruption keeps the axes that were measured
        write_table(given.out, rows, ["step", "axis", "value", "seconds", "mb", "mb_more", "exponent"])


if __name__ == "__main__":
    main()
