"""Writes files in the raw formats of PKU-MMD, SYSU 3D HOI and SBU with content that the test knows."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

from kinelex.data import Sequence
from kinelex.datasets.reader import Item, Reader, Skipped
from kinelex.errors import InputError


def read_all(reader: Reader, items: Iterable[Item] | None = None) -> tuple[list[Sequence], list[str]]:
    """The clips of a source, and the reasons of what is none."""
    clips, reasons = [], []
    for item in reader.items() if items is None else items:
        try:
            for found in reader.read(item):
                if isinstance(found, Skipped):
                    assert found.reason.startswith(f"{found.path}: ")
                    reasons.append(found.reason)
                else:
                    clips.append(found)
        except InputError as error:
            reasons.append(str(error))
    return clips, reasons


def write_pku_video(
    folder: Path, name: str, frames: np.ndarray, labels: Iterable[tuple[int, int, int]], end: str = "\n"
) -> None:
    """A video of frames (T, 2, 25, 3) and its labels (class, start, end), from 1."""
    lines = [" ".join(repr(float(c)) for c in frame.ravel()) for frame in frames]
    for kind, content in (("skeleton", lines), ("label", [f"{c},{s},{e},2" for c, s, e in labels])):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        (folder / kind / f"{name}.txt").write_text("".join(line + end for line in content), newline="")


def pku_frames(count: int, second: bool = True, seed: int = 0) -> np.ndarray:
    """Frames (count, 2, 25, 3) of numbers with six digits; the second person only where asked for."""
    x = np.random.default_rng(seed).uniform(-3, 3, size=(count, 2, 25, 3)).round(6)
    if not second:
        x[:, 1] = 0
    return x


def write_sysu_clip(folder: Path, person: str, video: str, world: Any, image: Any = None) -> Path:
    """A clip from frames (T, 20, 3) and pixels (T, 20, 2)."""
    clip = folder / "3DvideoNorm" / person / video
    clip.mkdir(parents=True, exist_ok=True)
    savemat(clip / "sklWorld.mat", {"SW": np.asarray(world).transpose(1, 2, 0)})
    if image is not None:
        savemat(clip / "sklImage.mat", {"SI": np.asarray(image).transpose(1, 2, 0)})
    return clip / "sklWorld.mat"


def sbu_text(raw: np.ndarray, first: int = 1) -> str:
    """The content of ``skeleton_pos.txt`` for normalised coordinates (T, 2, 15, 3)."""
    lines = []
    for t, frame in enumerate(raw):
        lines.append(",".join([str(first + t), *(repr(float(c)) for c in frame.ravel())]) + "\r\n")
    return "".join(lines)


def write_sbu_clip(folder: Path, place: str, text: str | bytes) -> Path:
    """A clip at ``sAAsBB/CC/RRR``."""
    path = folder / place / "skeleton_pos.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path
