"""The score pickles of other people's code: CTR-GCN's and MMCL's ``epoch1_test_score.pkl``.

A dict of sample names and logits, as the tests of CTR-GCN (Chen et al., ICCV 2021) and of the code built on
it write it. It is read without running it.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from kinelex.datasets._pickled_arrays import shape_of
from kinelex.datasets._unpickle import read_pickle
from kinelex.errors import InputError
from kinelex.evaluation.scores import ScoreFile
from kinelex.store import SkeletonStore

_ORDINAL = re.compile(r"test_(\d+)")  # the sample names of CTR-GCN's feeders


def read_published(path: Path, store: SkeletonStore, test: np.ndarray, protocol: str) -> ScoreFile:
    """Read the scores that CTR-GCN's or MMCL's code wrote.

    The names in a pickle are ids of the store, ids with an ending such as ``.skeleton``, or ``test_0``,
    ``test_1``, ...: CTR-GCN's feeders count the clips of the test part in the order of the store. Clips
    without a label are left out.

    Args:
        path: the file.
        store: the store whose clips were judged.
        test: its rows of the part that names such as ``test_0`` count.
        protocol: the protocol of that part, for messages.

    Raises:
        InputError: a pickle of something else (nothing of it is run), or of clips that are not the store's.
    """
    content = read_pickle(path)
    if not isinstance(content, dict) or not content:
        got = "an empty one" if content == {} else type(content).__name__
        raise InputError(f"{path} expects a dict of sample names and scores, got {got}")
    names, values = list(content), list(content.values())
    classes = store.class_names
    for name, value in content.items():
        if not (isinstance(name, str) and isinstance(value, np.ndarray) and value.dtype.kind in "fiu"):
            raise InputError(f"{path}: expects sample names and arrays of scores, got {name!r:.60}")
        if shape_of(value) != (len(classes),):
            raise InputError(
                f"{path}: the scores of {name!r} have the shape {shape_of(value)}, expects one score for "
                f"each of the {len(classes)} classes of {store.path}"
            )
    rows = _rows_of_names(path, names, store, test, protocol)
    labelled = store.labels[rows] >= 0
    rows, logits = rows[labelled], np.asarray(np.stack(values))[labelled]
    ids = tuple(store.ids[row] for row in rows)
    try:
        return ScoreFile(ids, store.labels[rows], logits, classes, run=path.stem)
    except InputError as error:
        raise InputError(f"{path} is damaged: {error}") from error


def _rows_of_names(
    path: Path, names: list[str], store: SkeletonStore, test: np.ndarray, protocol: str
) -> np.ndarray:
    row_of = {clip: row for row, clip in enumerate(store.ids)}
    for plain in (names, [name.rpartition(".")[0] for name in names]):
        if all(name in row_of for name in plain):
            return np.array([row_of[name] for name in plain], dtype=np.int64)
    ordinals = [int(match[1]) for name in names if (match := _ORDINAL.fullmatch(name))]
    if sorted(ordinals) == list(range(len(test))) and len(names) == len(test):
        return test[ordinals]
    if len(ordinals) == len(names) and len(test) == 0:
        raise InputError(
            f"{path}: its names test_{min(ordinals)}, ... count a test part; scores that are held out of "
            "training expect the ids of the store"
        )
    if len(ordinals) == len(names):
        raise InputError(
            f"{path} has {len(names)} clips test_{min(ordinals)} to test_{max(ordinals)}, the test part of "
            f"{protocol} in {store.path} has {len(test)}: they cannot be matched by their order"
        )
    unknown = [name for name in names if name not in row_of]
    raise InputError(
        f"{path}: {len(unknown)} of {len(names)} sample names are not in {store.path}, the first is "
        f"{unknown[0]!r} (ids there look like {store.ids[0]!r}): expects ids of the store, or test_0, "
        f"test_1, ... for the test part of {protocol} in its order"
    )
