"""A raw format for tests of the engine: what stands in a file is what reading it does."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kinelex.data import Sequence, StoreMeta
from kinelex.datasets import prepare, registry
from kinelex.datasets.reader import Item, Reader, Skipped
from kinelex.errors import InputError
from kinelex.skeleton import get_layout


class ToyReader(Reader):
    """Text files of one word each.

    Args:
        frames: length of every clip.
        log: file that gets the name and process of every file that is read.
        pause: seconds that reading a file takes.
    """

    dataset = "toy"
    expected = "the files *.txt"

    def __init__(
        self, source: Path, *, frames: int = 3, log: str | None = None, pause: float = 0, odd: bool = False
    ) -> None:
        super().__init__(source)
        self.frames, self.log, self.pause = frames, log, pause
        self.tags = {"a", "b", "c"}

    def meta(self) -> StoreMeta:
        return StoreMeta("toy", get_layout("sbu15"), ("one", "two"), prepared={"frames": self.frames})

    def items(self) -> list[Item]:
        return [Item(path, (0, 1)) for path in sorted(self.source.glob("*.txt"))]

    def files(self, item: Item) -> tuple[Path, ...]:
        return item.path, item.path.with_suffix(".note")

    def read(self, item: Item) -> Iterator[Sequence | Skipped]:
        word, name = item.path.read_text(), item.path.stem
        if self.log is not None:
            with open(self.log, "a", encoding="utf-8") as file:
                file.write(f"{name} {os.getpid()}\n")
        time.sleep(self.pause)
        if word == "bad":
            raise InputError(f"{item.path}: is bad")
        if word == "fault":
            raise ZeroDivisionError("a fault in the reader")
        if word == "exit":
            os._exit(7)
        if word == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "print":
            print("a library says hello")
        rng = np.random.default_rng(sum(name.encode()))
        x = rng.normal(size=(self.frames, 2, 15, 3)).astype(np.float32)
        if word == "nan":
            x[1] = np.nan
        yield Sequence("same" if word == "same" else name, x, 0, 1, splits=("own:train",), image_size=(4, 5))
        if word == "many":
            yield Skipped(item.path, f"{item.path}: its second clip is none")
            yield Sequence(f"{name}-3", x[..., :2], 1)
            yield Sequence(f"{name}-4", x, 1, scores=x[..., 0], image_coordinates=x[..., :2], caption="four")


def register() -> None:
    """Make ``toy`` known."""
    registry.register(ToyReader)


def write_toys(folder: Path, count: int, **words: str) -> Path:
    """``count`` good files, but those of the numbers given (``n7="bad"``)."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        (folder / f"t{i:05d}.txt").write_text(words.get(f"n{i}", "good"))
    return folder


def main() -> None:
    """``prepare`` as a process that can be killed: SOURCE OUT WORKERS LOG PAUSE."""
    register()
    source, out, workers, log, pause = sys.argv[1:]
    summary = prepare(
        "toy", Path(source), Path(out), progress=False, workers=int(workers), log=log, pause=float(pause)
    )
    print(summary)
