"""What the formats in circulation share: layouts by joint count, class names, split names, padding."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.errors import InputError
from kinelex.files.bounded import safe_json
from kinelex.skeleton import SkeletonLayout, get_layout

GIVEN = "given"  # the protocol's name where the files say train and test only
MAX_CLASSES = 10_000  # a label beyond is a damaged one
_BY_SIZE = {(25, 3): "ntu25", (17, 2): "coco17", (18, 2): "openpose18", (15, 3): "sbu15"}
_BY_SIZE |= {(33, 3): "mediapipe33", (33, 2): "mediapipe33"}
_SPLIT = re.compile(r"(?:(?P<protocol>[^:]+)[_:-])?(?P<part>train|val|test)(?P<number>\d*)", re.IGNORECASE)
_COUNTED = re.compile(r"(\d{1,9})[\s,;:.]+(\S.*)")
_NTU = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})")


def resolve_layout(layout: str | None, joints: int, channels: int, where: Path) -> SkeletonLayout:
    """The layout that was asked for, or the one that the number of joints and coordinates tells.

    >>> resolve_layout(None, 17, 2, Path("a.pkl")).name
    'coco17'
    >>> resolve_layout(None, 20, 3, Path("a.pkl"))
    Traceback (most recent call last):
    kinelex.errors.InputError: a.pkl: 20 joints of 3 coordinates do not tell the layout: pass --layout \
NAME (kinect20, msr20, utd20) or --layout FILE.yaml
    """
    if layout is None and (joints, channels) not in _BY_SIZE:
        from kinelex.skeleton import layout_names

        fitting = ", ".join(n for n in layout_names() if get_layout(n).num_joints == joints)
        built_in = f"--layout NAME ({fitting}) or " if fitting else ""
        raise InputError(
            f"{where}: {joints} joints of {channels} coordinates do not tell the layout: "
            f"pass {built_in}--layout FILE.yaml"
        )
    found = get_layout(layout or _BY_SIZE[joints, channels])
    if found.num_joints != joints:
        raise InputError(
            f"{where}: expects {found.num_joints} joints ({found.name}), got {joints}: pass another --layout"
        )
    return found


def read_class_names(path: str | Path) -> tuple[str, ...]:
    """Class names from a text file, one per line; numbers before them that count from 0 or 1 are left out."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--classes {path} cannot be read: {error}") from error
    names = tuple(line.strip() for line in lines)
    while names and not names[-1]:
        names = names[:-1]
    counted = [_COUNTED.fullmatch(name) for name in names]
    numbers = [int(match[1]) for match in counted if match]
    if len(names) > 1 and numbers in ([*range(len(names))], [*range(1, len(names) + 1)]):
        names = tuple(match[2] for match in counted if match)
    if not names or "" in names:
        raise InputError(f"--classes {path}: expects one name per line, in the order of the labels")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"--classes {path}: names twice: {', '.join(twice)}")
    return names


def numbered_classes(labels: Iterable[Any]) -> tuple[str, ...]:
    """``class 0`` and so on, as many as the labels need; labels that are none are left out.

    >>> numbered_classes([2, None, 0])
    ('class 0', 'class 1', 'class 2')
    """
    known = [int(n) for n in labels if is_whole(n) and 0 <= n < MAX_CLASSES]
    return tuple(f"class {n}" for n in range(max(known, default=-1) + 1))


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number, of Python or numpy, and no truth value."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def split_tags(names: Iterable[str]) -> dict[str, str]:
    """The tag ``PROTOCOL:train`` or ``PROTOCOL:test`` of each split name; other names stay as they are.

    ``val`` tests, unless the same protocol has a ``test`` beside it: then it is ``PROTOCOL:val``. A
    number behind the part counts the protocols; without a protocol its name is ``given``. Whether the
    part is written in capitals does not matter.

    >>> split_tags(["Train", "TEST"])
    {'Train': 'given:train', 'TEST': 'given:test'}
    >>> split_tags(["xsub_train", "xsub_val", "train1", "test1", "train", "val", "test", "mini"])
    {'xsub_train': 'xsub:train', 'xsub_val': 'xsub:test', 'train1': 'split1:train', 'test1': 'split1:test', \
'train': 'given:train', 'val': 'given:val', 'test': 'given:test', 'mini': 'mini'}
    """
    found: dict[str, tuple[str, str] | None] = {}
    for name in names:
        match = _SPLIT.fullmatch(name)
        if match is None:
            found[name] = None
            continue
        protocol = match["protocol"] or ("split" if match["number"] else GIVEN)
        found[name] = (protocol + match["number"], match["part"].lower())
    tested = {pair[0] for pair in found.values() if pair is not None and pair[1] == "test"}
    return {
        name: name
        if pair is None
        else f"{pair[0]}:{'test' if pair[1] == 'val' and pair[0] not in tested else pair[1]}"
        for name, pair in found.items()
    }


def numbers_in_name(name: str) -> dict[str, int]:
    """Setup, camera, subject and replication where a clip is named as NTU RGB+D names them.

    >>> numbers_in_name("S001C002P003R001A060"), numbers_in_name("v_Archery_g01")
    ({'setup': 1, 'camera': 2, 'subject': 3, 'replication': 1}, {})
    """
    match = _NTU.fullmatch(name)
    if match is None:
        return {}
    keys = ("setup", "camera", "subject", "replication")
    return {key: int(number) for key, number in zip(keys, match.groups(), strict=False)}


def without_padding(x: np.ndarray, frames: int | None = None) -> np.ndarray:
    """A clip without the frames of zeros at its end.

    Args:
        frames: how many frames are its own, where that is known: then exactly these stay.

    Shape:
        - x: (T, M, V, C); returns: (T', M, V, C), a view; T' is 0 where nobody is in the clip.

    >>> x = np.zeros((5, 2, 3, 3))
    >>> x[[0, 2], 0] = 1
    >>> without_padding(x).shape, without_padding(x, frames=4).shape
    ((3, 2, 3, 3), (4, 2, 3, 3))
    """
    if frames is None:
        with np.errstate(invalid="ignore"):
            present = np.flatnonzero(x.any(axis=(1, 2, 3)))
        frames = int(present[-1]) + 1 if len(present) else 0
    return x[:frames]


def has_body(x: np.ndarray) -> bool:
    """Whether anybody is in a clip: not all coordinates are zero."""
    with np.errstate(invalid="ignore"):
        return bool(x.any())


def as_stored(x: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """A copy of numbers as a store has them, float32 in C order; what is too large becomes infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array(x if scale == 1 else x * scale, dtype=np.float32, order="C")


@dataclass(frozen=True)
class Note:
    """What an exported file says about the store that it came from, as JSON in the file or beside it."""

    layout: str  # the layout as YAML
    class_names: tuple[str, ...]  # one name per label
    units: str  # unit of the coordinates
    persons: int  # number of persons M in the padded arrays
    channels: int  # number of coordinates C
    protocol: str = GIVEN  # the protocol whose two sides are in the file

    def to_json(self) -> str:
        """The note as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str, where: str) -> Note:
        """Read a note."""
        try:
            note = cls(**safe_json(text))
            texts = (note.layout, note.units, note.protocol, *note.class_names)
            numbers = (note.persons, note.channels)
            if not all(isinstance(t, str) for t in texts) or not all(is_whole(n) and n > 0 for n in numbers):
                raise TypeError("a value of the wrong type")
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(f"{where}: the note that kinelex wrote there is damaged: {error}") from error
        SkeletonLayout.from_yaml(note.layout, where)
        return cls(**{**asdict(note), "class_names": tuple(note.class_names)})


def layout_of(
    note: Note | None, layout: str | None, joints: int, channels: int, where: Path
) -> SkeletonLayout:
    """The layout asked for, else the one of an exported file's note, else the one that the size tells."""
    if layout is None and note is not None:
        noted = SkeletonLayout.from_yaml(note.layout, str(where))
        if noted.num_joints == joints:
            return noted
    return resolve_layout(layout, joints, channels, where)
