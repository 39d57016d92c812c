"""Splits and subsets in files, by the ids of clips, which lists may write in other ways."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml

from kinelex.data import SkeletonStore
from kinelex.data.splits.published import Parts
from kinelex.errors import InputError
from kinelex.files.atomic import write_whole
from kinelex.files.bounded import bounded_text, safe_json, safe_yaml

_VIDEOS = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".mpg", ".mpeg", ".wmv", ".m4v", ".skeleton", ".npy")
_ENDINGS = (*_VIDEOS, ".json", ".txt", ".csv", ".pkl", "_rgb")


def match_ids(ids: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """For each id the clip that it means: the one of this name, else without a video's ending or folders.

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


_FORMS = 'a JSON or YAML file {"train": [ids], "test": [ids]}, or a CSV file with the columns id and part'
_DRAWN = re.compile(r"# of .*: \d+ of (\d+) training clips")  # second line of a subset that was drawn here


def file_parts(store: SkeletonStore, name: str) -> Parts:
    """``file:PATH``: the user's own split; clips it does not name are in no part."""
    path = Path(name.removeprefix("file:"))
    if not path.is_file():
        raise InputError(f"protocol {name!r}: {path} does not exist, expects {_FORMS}")
    try:
        text = bounded_text(path, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text: expects {_FORMS}") from error
    if path.suffix.lower() == ".csv":
        parts = _from_csv(path, text)
    elif path.suffix.lower() in (".json", ".yaml", ".yml"):
        parts = _from_mapping(path, _parsed(path, text))
    else:
        raise InputError(f"{path}: the name ends in {path.suffix!r}, expects {_FORMS}")
    for part, ids in parts.items():
        if not ids:
            raise InputError(f"{path}: no clip is in the {part} part")
    train, test = (rows_of(store, ids, path) for ids in (parts["train"], parts["test"]))
    both = np.intersect1d(train, test)
    if len(both):
        raise InputError(
            f"{path}: {len(both)} clips are in both parts, the first is {store.ids[both[0]]!r}: "
            "expects each clip in one part"
        )
    return train, test


def _parsed(path: Path, text: str) -> Any:
    try:
        return safe_json(text) if path.suffix.lower() == ".json" else safe_yaml(text)
    except (ValueError, yaml.YAMLError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{path} does not parse ({first}): expects {_FORMS}") from error


def _from_mapping(path: Path, content: Any) -> dict[str, list[str]]:
    if not isinstance(content, dict) or set(content) != {"train", "test"}:
        found = ", ".join(map(repr, content)) if isinstance(content, dict) else type(content).__name__
        raise InputError(f"{path}: expects the keys 'train' and 'test', got {found or 'none'}")
    for part, ids in content.items():
        if not isinstance(ids, list):
            raise InputError(f"{path}: expects a list of ids under {part!r}, got {type(ids).__name__}")
        for clip in ids:
            if not isinstance(clip, str):
                raise InputError(f"{path}: the id {clip!r} under {part!r} is no text: put it in quotes")
    return content


def _from_csv(path: Path, text: str) -> dict[str, list[str]]:
    parts: dict[str, list[str]] = {"train": [], "test": []}
    try:
        rows = list(csv.reader(text.splitlines()))
    except csv.Error as error:  # a quote that does not end makes one cell of all that follows
        raise InputError(f"{path} cannot be read as CSV ({error}): expects {_FORMS}") from error
    for number, row in enumerate(rows, start=1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or (number == 1 and [c.lower() for c in cells] == ["id", "part"]):
            continue
        if len(cells) != 2 or cells[1] not in parts:
            raise InputError(f"{path}, line {number}: expects an id and train or test, got {','.join(row)!r}")
        parts[cells[1]].append(cells[0])
    return parts


def rows_of(store: SkeletonStore, ids: list[str], path: Path) -> np.ndarray:
    """Rows of clips by their ids, ascending; an id with its video's ending means the clip without it."""
    meant = match_ids(ids, store.ids)
    ids = [meant.get(clip, clip) for clip in ids]
    row_of = {clip: row for row, clip in enumerate(store.ids)}
    unknown = [clip for clip in ids if clip not in row_of]
    if unknown:
        raise InputError(
            f"{path}: {len(unknown)} of {len(ids)} ids are not in {store.path}, the first is {unknown[0]!r} "
            f"(ids there look like {store.ids[0]!r})"
        )
    if len(set(ids)) < len(ids):
        twice = next(clip for i, clip in enumerate(ids) if clip in ids[:i])
        raise InputError(f"{path}: the id {twice!r} stands there twice")
    return np.array(sorted(row_of[clip] for clip in ids), dtype=np.int64)


def as_file_name(protocol: str) -> str:
    """A protocol as the name of a file.

    Colons become underscores; a name with anything else that does not belong into a file name gets a
    short digest, so that two protocols never share a file.

    >>> as_file_name("xview:fold1of5")
    'xview_fold1of5'
    """
    plain = protocol.replace(":", "_")
    safe = re.sub(r"[^A-Za-z0-9._=+-]+", "_", plain)
    if safe != plain:
        safe = f"{safe[-80:]}_{hashlib.sha256(protocol.encode()).hexdigest()[:8]}"
    return safe


def subset_path(store: SkeletonStore, name: str) -> Path:
    """Where the subset of a protocol is kept: ``<store name>.subsets/<protocol>.txt`` beside the store."""
    return store.path.with_name(f"{store.path.name}.subsets") / f"{as_file_name(name)}.txt"


def read_subset(store: SkeletonStore, path: Path, train: np.ndarray, base: str) -> np.ndarray:
    """The rows of a stored subset."""
    advice = "delete the file to have the subset drawn again for this store"
    try:
        lines = bounded_text(path, encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a list of ids: {advice}") from error
    ids = [line.strip() for line in lines if line.strip() and not line.startswith("# ")]
    if not ids:
        raise InputError(f"{path} has no ids: {advice}")
    try:
        rows = rows_of(store, ids, path)
    except InputError as error:
        raise InputError(f"{error}; {advice}") from error
    drawn = _DRAWN.match(lines[1]) if len(lines) > 1 else None
    if drawn is not None and int(drawn[1]) != len(train):
        raise InputError(
            f"{path}: was drawn from {drawn[1]} training clips, {base} has {len(train)}: the store was "
            f"made anew since; {advice}"
        )
    outside = np.setdiff1d(rows, train)
    if len(outside):
        raise InputError(
            f"{path}: {len(outside)} clips are not in the training part of {base}, the first is "
            f"{store.ids[outside[0]]!r}; {advice}"
        )
    return rows


def write_subset(store: SkeletonStore, path: Path, rows: np.ndarray, name: str, of: int) -> None:
    """Keep a subset beside the store; where nothing can be written, nothing is."""
    header = (
        f"# kinelex few-label subset {name}\n"
        f"# of {store.meta.dataset}, store {store.fingerprint}: {len(rows)} of {of} training clips\n"
        "# one clip id per line; read from here from now on, so that the subset can be shared\n"
    )
    with contextlib.suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        write_whole(path, header + "".join(f"{store.ids[row]}\n" for row in rows))
