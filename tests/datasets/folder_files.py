"""Folders of clips of one's own, for the tests of their reader."""

from pathlib import Path
from typing import Any

import numpy as np
from format_files import drawn_clip

OWN = """name: arm
joints:
  shoulder: shoulder
  elbow: shoulder
  hand: elbow
"""
BVH = """HIERARCHY
ROOT Hips
{
OFFSET 0 0 0
CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
JOINT LeftUpLeg
{
OFFSET 10 -5 0
CHANNELS 3 Zrotation Xrotation Yrotation
End Site
{
OFFSET 0 -40 0
}
}
}
MOTION
Frames: 2
Frame Time: 0.0333
100 90 0 10 20 30 5 6 7
101 91 1 11 21 31 6 7 8
"""


def folder(path: Path, manifest: str, files: dict[str, Any], layout: str | None = OWN) -> Path:
    """A folder with a manifest, clips and maybe a layout.yaml."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "manifest.csv").write_text(manifest)
    if layout is not None:
        (path / "layout.yaml").write_text(layout)
    for name, thing in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(thing, str):
            (path / name).write_text(thing)
        elif isinstance(thing, dict):
            np.savez(path / name, **thing)
        else:
            np.save(path / name, thing)
    return path


def clip(seed: int = 0, frames: int = 3, persons: int = 1, channels: int = 3) -> np.ndarray:
    return drawn_clip(seed, frames, persons, 3, channels)


def csv_of(x: np.ndarray, header: str | None = None, delimiter: str = ",") -> str:
    lines = [] if header is None else [header]
    lines += [delimiter.join(str(value) for value in frame.ravel()) for frame in x]
    return "\n".join(lines) + "\n"
