"""Reader of SYSU 3D Human-Object Interaction, 20 joints of Kinect v1.

One folder per clip, ``3DvideoNorm/<person>/<videoK>`` with the class K from 1: ``sklWorld.mat`` holds the
variable ``SW`` (20, 3, T) in metres, ``sklImage.mat`` the joints' pixels.

Source: Hu, Zheng, Lai, Zhang: Jointly learning heterogeneous features for RGB-D activity recognition,
CVPR 2015.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.data import Sequence
from kinelex.data.splits.published import sysu_split
from kinelex.datasets.reader import FilesReader, Item, class_names
from kinelex.errors import InputError
from kinelex.files.mat_file import mat_variable, read_mat
from kinelex.files.walk import files_under

__all__ = ["CLASSES", "SysuReader", "read_clip", "sysu_split"]

CLASSES = class_names("sysu")
IMAGE_SIZE = (480, 640)  # pixels, of Kinect v1's colour picture
_WORLD, _IMAGE = "sklWorld.mat", "sklImage.mat"
_VIDEO = re.compile(r"video(?P<label>[0-9]+)")
_JOINTS = 20


def read_clip(path: Path, subject: int, no_pixels: bool = False) -> Sequence:
    """Read one clip.

    Args:
        path: a file ``<person>/<videoK>/sklWorld.mat``.
        no_pixels: leave out the joints' pixels in the ``sklImage.mat`` beside it.
    """
    person, video = path.absolute().parent.parts[-2:]
    match = _VIDEO.fullmatch(video)
    if match is None:
        raise InputError(
            f"{path}: the folder's name does not parse, expects <person>/videoK/{_WORLD}, for example "
            f"3DvideoNorm/p01/video1/{_WORLD}"
        )
    label = int(match["label"])
    if not 1 <= label <= len(CLASSES):
        raise InputError(f"{path}: the class {label} is out of range, expects video1 to video{len(CLASSES)}")
    world = _frames(path, "SW", mat_variable(read_mat(path), "SW", path), (3,))
    image = None if no_pixels else _pixels(path.with_name(_IMAGE), len(world))
    return Sequence(
        id=f"{person}_{video}",
        coordinates=world,
        label=label - 1,
        subject=subject,
        image_coordinates=image,
        image_size=None if image is None else IMAGE_SIZE,
    )


def _pixels(path: Path, frames: int) -> np.ndarray | None:
    """Pixels (T, 1, 20, 2) of the one variable in ``sklImage.mat``; None without the file."""
    if not path.exists():
        return None
    try:
        content = read_mat(path)
        if len(content) != 1:
            raise InputError(f"{path}: expects one variable, the file has {', '.join(content) or 'none'}")
        name, value = next(iter(content.items()))
        image = _frames(path, name, value, (2, 3))
        if len(image) != frames:
            found = f"variable {name!r} has {len(image)} frames"
            raise InputError(f"{path}: {found}, expects {frames} as in {_WORLD}")
    except InputError as error:
        raise InputError(f"{error}; --no-pixels leaves pixels out") from error
    return image[..., :2]


def _frames(path: Path, name: str, x: np.ndarray, channels: tuple[int, ...]) -> np.ndarray:
    """A variable (20, C, T) as (T, 1, 20, C), finite."""
    found = x.shape
    if x.ndim == 2:  # MATLAB drops a last dimension of 1
        x = x[:, :, None]
    shape = f"({_JOINTS}, {' or '.join(map(str, channels))}, T)"
    if x.ndim != 3 or x.shape[0] != _JOINTS or x.shape[1] not in channels or not x.shape[2]:
        raise InputError(f"{path}: variable {name!r} has shape {found}, expects {shape}")
    with np.errstate(over="ignore"):
        frames = np.ascontiguousarray(x.transpose(2, 0, 1)[:, None], dtype=np.float32)
    if not np.isfinite(frames).all():
        frame = int(np.argwhere(~np.isfinite(frames))[0][0])
        raise InputError(f"{path}: frame {frame} of variable {name!r} is not finite")
    return frames


class SysuReader(FilesReader):
    """Reader of SYSU 3D HOI.

    A person's number is the number in the name of the person's folder where every such folder has one of
    its own, else the folder's place in the order of names, from 1.

    Args:
        source: the folder ``3DvideoNorm``, or one above it.
        no_pixels: leave out the joints' pixels in the files ``sklImage.mat``.
    """

    dataset = "sysu"
    expected = f"the files 3DvideoNorm/<person>/<videoK>/{_WORLD}"
    layout = "kinect20"

    def __init__(self, source: Path, *, no_pixels: bool = False) -> None:
        super().__init__(source)
        self.no_pixels = no_pixels

    def prepared(self) -> dict[str, Any]:
        return {"no_pixels": self.no_pixels}

    def items(self) -> list[Item]:
        files = {file: file.absolute().parent.parent.name for file in files_under(self.source, _WORLD)}
        subjects = _subjects(set(files.values()))
        found = [Item(file, subjects[person]) for file, person in files.items()]
        return sorted(found, key=lambda item: (item.part, _class_first(item.path)))

    def files(self, item: Item) -> tuple[Path, ...]:
        return (item.path,) if self.no_pixels else (item.path, item.path.with_name(_IMAGE))

    def read(self, item: Item) -> Iterator[Sequence]:
        yield read_clip(item.path, item.part, self.no_pixels)


def _subjects(names: set[str]) -> dict[str, int]:
    """A number for every person's folder.

    >>> _subjects({"p10", "p2"}), _subjects({"li", "an"})
    ({'p2': 2, 'p10': 10}, {'an': 1, 'li': 2})
    """
    numbers = {name: re.findall("[0-9]+", name) for name in names}
    if all(len(found) == 1 for found in numbers.values()):
        own = {name: int(found[0]) for name, found in numbers.items()}
        if len(set(own.values())) == len(own) and max(own.values(), default=0) < 10**6:
            return dict(sorted(own.items(), key=lambda pair: pair[1]))
    return {name: place for place, name in enumerate(sorted(names), start=1)}


def _class_first(path: Path) -> tuple[int, str]:
    match = _VIDEO.fullmatch(path.absolute().parent.name)
    return (int(match["label"]) if match else 0, str(path))
