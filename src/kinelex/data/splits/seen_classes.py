"""Which classes a training may see: for zero-shot and one-shot recognition of the others.

A split is a small YAML file of class names, one that comes with the package, or drawn by a seed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from kinelex.data.splits.drawn import read_seed
from kinelex.errors import InputError, unknown_name
from kinelex.files.bounded import packaged_names, packaged_or_named_yaml

_KEYS = ("classes", "unseen", "seen", "exemplars")
_NUMBER = re.compile(r"[aA]0*(\d+)")
_FORM = (
    "a YAML file {unseen: [classes]}, each by its name or as A3 for the third, or random:UNSEEN:SEED, "
    "such as random:5:0"
)


@dataclass(frozen=True)
class ClassSplit:
    """Which classes are seen in training, and which are not.

    Args:
        name: how it was asked for.
        seen, unseen: indices of classes, ascending; no class is in both, some may be in neither.
        exemplars: ids of one clip of each unseen class, in the order of ``unseen``, where it names them.
    """

    name: str
    seen: tuple[int, ...]
    unseen: tuple[int, ...]
    exemplars: tuple[str, ...] = ()


def class_split_names() -> tuple[str, ...]:
    """Names of the splits that come with the package.

    >>> class_split_names()
    ('ntu120_110_10', 'ntu120_96_24', 'ntu120_one_shot', 'ntu60_48_12', 'ntu60_55_5')
    """
    return packaged_names(_splits())


def class_split(given: str, class_names: Sequence[str]) -> ClassSplit:
    """Read or draw a split of classes.

    Args:
        given: a name of :func:`class_split_names`, a YAML file, or ``random:UNSEEN:SEED``.

    >>> class_split("random:2:0", ("sit", "walk", "wave", "jump"))
    ClassSplit(name='random:2:0', seen=(0, 2), unseen=(1, 3), exemplars=())
    """
    if given.partition(":")[0] == "random":
        return _drawn(given, class_names)
    content = packaged_or_named_yaml(given, "split of classes", _splits(), _FORM)
    if not isinstance(content, dict) or "unseen" not in content:
        raise InputError(f"the split of classes {given} has no 'unseen': expects {_FORM}")
    for key in content:
        if key not in _KEYS:
            raise unknown_name(f"key in the split of classes {given}", str(key), _KEYS)
    count = content.get("classes", len(class_names))
    if count != len(class_names):
        classes = f"{count} classes, the store has {len(class_names)}"
        raise InputError(f"the split of classes {given} is for {classes}")
    unseen = _indices(given, "unseen", content["unseen"], class_names)
    others = [i for i in range(len(class_names)) if i not in unseen]
    seen = _indices(given, "seen", content["seen"], class_names) if "seen" in content else others
    both = sorted(set(seen) & set(unseen))
    if both:
        raise InputError(f"the split of classes {given} has {class_names[both[0]]!r} both seen and unseen")
    if not seen:
        raise InputError(f"the split of classes {given} leaves no class to train on")
    return ClassSplit(given, tuple(sorted(seen)), tuple(sorted(unseen)), _exemplars(given, content, unseen))


def _drawn(given: str, class_names: Sequence[str]) -> ClassSplit:
    """Classes in an order that their names and the seed decide; the first are unseen."""
    match = re.fullmatch(r"random:(\d+):([^:]+)", given)
    if match is None:
        raise InputError(f"unknown split of classes {given!r}: expects {_FORM}")
    count, seed = int(match[1]), read_seed(match[2], given)
    if not 1 <= count < len(class_names):
        raise InputError(f"{given}: expects 1 to {len(class_names) - 1} unseen classes, got {count}")

    def key(i: int) -> bytes:
        return hashlib.sha256(f"{seed}\n{class_names[i]}".encode()).digest()

    order = sorted(range(len(class_names)), key=key)
    return ClassSplit(given, tuple(sorted(order[count:])), tuple(sorted(order[:count])))


def _splits() -> Traversable:
    return resources.files("kinelex.data.splits").joinpath("class_splits")


def _indices(given: str, part: str, names: Any, class_names: Sequence[str]) -> list[int]:
    split = f"the split of classes {given}"
    if not isinstance(names, list) or not names:
        raise InputError(f"{split}: expects a list of classes under {part!r}, got {names!r}")
    found: list[int] = []
    for name in names:
        if not isinstance(name, str):
            raise InputError(f"{split} has {name!r}, which is no text: write a name, or A3")
        index = class_index(name, class_names, split)
        if index in found:
            raise InputError(f"{split} has {class_names[index]!r} twice under {part!r}")
        found.append(index)
    return found


def class_index(name: str, class_names: Sequence[str], where: str, whose: str = "") -> int:
    """A class by its name, or by its number from 1: A3, or a3, is the third.

    Args:
        name: what was asked for.
        class_names: the classes.
        where, whose: what asks, and what has the classes if that is not the store, for the message.

    Raises:
        InputError: no class has this name or number.

    >>> class_index("a2", ("sit", "walk"), "the class map m.yaml")
    1
    """
    if name in class_names:
        return list(class_names).index(name)
    match = _NUMBER.fullmatch(name)
    if match is None:
        raise unknown_name(f"class{whose and f' of {whose}'} in {where}", name, class_names)
    if not 1 <= int(match[1]) <= len(class_names):
        raise InputError(f"{where} has {name}, {whose or 'the store'} has A1 to A{len(class_names)}")
    return int(match[1]) - 1


def _exemplars(given: str, content: dict[str, Any], unseen: list[int]) -> tuple[str, ...]:
    """The exemplars in ascending order of their classes, as they are listed in the order of ``unseen``."""
    ids = content.get("exemplars", [])
    if not isinstance(ids, list) or not all(isinstance(clip, str) for clip in ids):
        raise InputError(f"the split of classes {given}: expects a list of clip ids under 'exemplars'")
    if ids and len(ids) != len(unseen):
        raise InputError(
            f"the split of classes {given} has {len(ids)} exemplars for {len(unseen)} unseen classes: "
            "expects one of each, in their order"
        )
    return tuple(ids[i] for i in sorted(range(len(ids)), key=unseen.__getitem__))
