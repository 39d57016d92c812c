"""Private machinery: ids of a list of clips, and the names under which the clips themselves are known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

_VIDEOS = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".mpg", ".mpeg", ".wmv", ".m4v", ".skeleton", ".npy")
_ENDINGS = (*_VIDEOS, ".json", ".txt", ".csv", ".pkl", "_rgb")


def match_ids(ids: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """For each id the clip that it means: the one of this name, else without a video's ending or folders.

    Args:
        ids: ids of a list.
        names: names of the clips.

    Returns:
        Name by id; ids that no clip has, or that several have, are left out.

    >>> match_ids(["a.mp4", "x/b", "c"], ["a", "b", "d"])
    {'a.mp4': 'a', 'x/b': 'b'}
    """
    whole = set(names)
    by_key: dict[str, set[str]] = {}
    for name in whole:
        for key in _keys(name):
            by_key.setdefault(key, set()).add(name)
    found = {}
    for clip in ids:
        if clip in whole:
            found[clip] = clip
            continue
        meant = next((by_key[key] for key in _keys(clip) if key in by_key), set())
        if len(meant) == 1:
            found[clip] = next(iter(meant))
    return found


def _keys(name: str) -> tuple[str, str]:
    """A name without its ending, and without the folders before it too."""
    path = name.replace("\\", "/")
    for ending in _ENDINGS:
        if path.lower().endswith(ending):
            path = path[: -len(ending)]
    return path, PurePosixPath(path).name


def lost_ids(splits: Mapping[str, Iterable[str]], matched: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """For each split with ids that no clip has: how many, and how many ids it lists.

    >>> lost_ids({"train": ["a", "b"], "val": ["a"]}, {"a": "a"})
    {'train': (1, 2)}
    """
    found = {}
    for split, ids in splits.items():
        listed = list(ids)
        lost = sum(clip not in matched for clip in listed)
        if lost:
            found[split] = lost, len(listed)
    return found
