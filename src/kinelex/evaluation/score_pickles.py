"""The score pickles of other people's code: CTR-GCN's and MMCL's ``epoch1_test_score.pkl``.

A dict of sample names and logits, as the tests of CTR-GCN (Chen et al., ICCV 2021) and of the code built on
it write it. It is read without running it. The names may be numbers that count the test part in the order in
which that code wrote it, which is not the store's; :func:`_counted` knows where that order is certain.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.data import SkeletonStore
from kinelex.data.splits.files import rows_of
from kinelex.errors import InputError
from kinelex.evaluation.scores import ScoreFile
from kinelex.files.pickled_arrays import shape_of
from kinelex.files.unpickle import read_pickle

_ORDINAL = re.compile(r"(train|test)_(\d+)")  # the sample names of CTR-GCN's feeder of NTU RGB+D
_NTU = re.compile(r"S\d{3}C\d{3}P\d{3}R\d{3}A\d{3}")
# CTR-GCN's preparation takes the clips of one test subject, or of one setup, after the other, or those of the
# one camera, each time in the order of the files' names. Here the part of a name that comes first:
_NTU_ORDERS = {
    ("ntu60", "xsub"): slice(8, 12),  # the subject, then the name
    ("ntu60", "xview"): slice(0),
    ("ntu120", "xsub"): slice(8, 12),
    ("ntu120", "xset"): slice(0, 4),  # the setup, by which the name begins
}
_ORDER_FORMS = "a text file with a name per line, or a JSON file or a pickle with a list of names"


def read_published(
    path: Path, store: SkeletonStore, test: np.ndarray, protocol: str, order: Path | None = None
) -> ScoreFile:
    """Read the scores that CTR-GCN's or MMCL's code wrote.

    The names in a pickle are ids of the store, ids with an ending such as ``.skeleton``, or numbers
    (``test_0``, ``test_1``, ... of NTU RGB+D, 0, 1, ... of Northwestern-UCLA) that count the test part in
    their code's order. That is known for the published protocols of NTU RGB+D and for a store of CTR-GCN's
    own npz file; elsewhere ``order`` says it. Clips without a label are left out.

    Raises:
        InputError: a pickle of something else (nothing of it is run), of clips that are not the store's, or
            of numbers whose order is not known.
    """
    content = read_pickle(path)
    if not isinstance(content, dict) or not content:
        got = "an empty one" if isinstance(content, dict) else type(content).__name__.lstrip("_")
        raise InputError(f"{path} expects a dict of sample names and scores, got {got}")
    classes = store.class_names
    for name, value in content.items():
        named = isinstance(name, str) or _is_number(name)
        if not (named and isinstance(value, np.ndarray) and value.dtype.kind in "fiu"):
            raise InputError(f"{path}: expects sample names and arrays of scores, got {name!r:.60}")
        if shape_of(value) != (len(classes),):
            raise InputError(
                f"{path}: the scores of {name!r} have the shape {shape_of(value)}, expects one score for "
                f"each of the {len(classes)} classes of {store.path}"
            )
    rows = _rows_of_names(path, list(content), store, test, protocol, order)
    labelled = store.labels[rows] >= 0
    rows, logits = rows[labelled], np.asarray(np.stack(list(content.values())))[labelled]
    ids = tuple(store.ids[row] for row in rows)
    try:
        return ScoreFile(ids, store.labels[rows], logits, classes, run=path.stem)
    except InputError as error:
        raise InputError(f"{path} is damaged: {error}") from error


def read_order(path: Path, store: SkeletonStore) -> np.ndarray:
    """The rows of the clips that a file names, in its order.

    Args:
        path: a text file with a name per line; a JSON file or a pickle with a list of names, or of objects
            whose ``file_name`` is one, such as CTR-GCN's ``data/NW-UCLA/val_label.pkl``. Names are ids of the
            store, with or without an ending.
        store: the skeleton store.

    Shape:
        - returns: (n,) int64

    Raises:
        InputError: no such file, another form, a name that the store does not have, or one that stands twice.
    """
    row_of = {clip: row for row, clip in enumerate(store.ids)}
    names = [name if name in row_of else name.rpartition(".")[0] or name for name in _names(path)]
    rows_of(store, names, path)  # which refuses unknown names, and those that stand twice
    return np.array([row_of[name] for name in names], dtype=np.int64)


def _names(path: Path) -> list[str]:
    content: Any
    if path.suffix.lower() in (".pkl", ".pickle"):
        content = read_pickle(path)
    else:
        try:
            text = path.read_text(encoding="utf-8-sig")
            content = json.loads(text) if path.suffix.lower() == ".json" else text.split()
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{path} cannot be read: expects {_ORDER_FORMS}") from error
    listed = content if isinstance(content, list | tuple) else []
    given = [entry.get("file_name") if isinstance(entry, dict) else entry for entry in listed]
    names = [name for name in given if isinstance(name, str)]
    if not names or len(names) < len(given):
        raise InputError(f"{path} has no list of names: expects {_ORDER_FORMS}")
    return names


def _is_number(name: Any) -> bool:
    return isinstance(name, int | np.integer) and not isinstance(name, bool)


def _rows_of_names(
    path: Path, names: list[Any], store: SkeletonStore, test: np.ndarray, protocol: str, order: Path | None
) -> np.ndarray:
    row_of = {clip: row for row, clip in enumerate(store.ids)}
    texts = [str(name) for name in names]
    for plain in (texts, [name.rpartition(".")[0] for name in texts]):
        if all(name in row_of for name in plain):
            return np.array([row_of[name] for name in plain], dtype=np.int64)
    matches = [_ORDINAL.fullmatch(f"test_{name}" if _is_number(name) else name) for name in names]
    counted = [(match[1], int(match[2])) for match in matches if match is not None]
    if len(counted) == len(names):
        return _counted(path, counted, store, row_of, test, protocol, order)
    unknown = [name for name in texts if name not in row_of]
    raise InputError(
        f"{path}: {len(unknown)} of {len(names)} sample names are not in {store.path}, the first is "
        f"{unknown[0]!r} (ids there look like {store.ids[0]!r}): expects ids of the store, or numbers such "
        f"as test_0, test_1, ... for the test part of {protocol}"
    )


def _counted(
    path: Path,
    counted: Sequence[tuple[str, int]],
    store: SkeletonStore,
    row_of: dict[str, int],
    test: np.ndarray,
    protocol: str,
    order: Path | None,
) -> np.ndarray:
    """The rows of names that count clips: by the ids of a CTR-GCN npz, a file of names, or NTU's rule."""
    own = [f"{part}_{number:06d}" for part, number in counted]  # as the reader of their npz files calls them
    if order is None and all(name in row_of for name in own):
        return np.array([row_of[name] for name in own], dtype=np.int64)
    numbers = [number for _, number in counted]
    if len(test) == 0:
        raise InputError(
            f"{path}: its names count the clips of a test part; scores that are held out of training expect "
            "the ids of the store"
        )
    if any(part == "train" for part, _ in counted):
        raise InputError(f"{path} has scores of training clips: expects those of the test part of {protocol}")
    rows = _in_their_order(path, store, test, protocol) if order is None else read_order(order, store)
    if sorted(numbers) != list(range(len(rows))):
        said = f"the test part of {protocol} in {store.path}" if order is None else str(order)
        raise InputError(
            f"{path} has {len(numbers)} clips numbered {min(numbers)} to {max(numbers)}, {said} has "
            f"{len(rows)}: they cannot be matched by their order"
        )
    return rows[numbers]


def _in_their_order(path: Path, store: SkeletonStore, test: np.ndarray, protocol: str) -> np.ndarray:
    """The test part in the order of CTR-GCN's code, where that is certain."""
    first = _NTU_ORDERS.get((store.meta.dataset, protocol))
    if first is None or not all(_NTU.fullmatch(store.ids[row]) for row in test):
        raise InputError(
            f"{path}: its names count clips in the order of the code that wrote it, which is not known for "
            f"{store.meta.dataset} {protocol}: pass a file of the clips' names in that order with --order "
            "(of Northwestern-UCLA data/NW-UCLA/val_label.pkl of CTR-GCN), or name the clips by their ids"
        )
    ordered = sorted(test.tolist(), key=lambda row: (store.ids[row][first], store.ids[row]))
    return np.array(ordered, dtype=np.int64)
