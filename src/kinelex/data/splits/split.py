"""Protocols: which clips of a data set train and which test; folds, few labels and unseen classes of them.

The published rules are data, one file per data set in ``protocols/``; :func:`get_split` lists all forms.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from kinelex.data import SkeletonStore
from kinelex.data.splits import files
from kinelex.data.splits.drawn import few_labels, loso_parts, random_parts, read_ratio, read_seed
from kinelex.data.splits.published import ANY_STORE, Parts, published_names, published_parts, rule_in_words
from kinelex.data.splits.seen_classes import class_split
from kinelex.errors import InputError

_FOLD = re.compile(r"(?P<protocol>.+):fold(?P<fold>\d+)of(?P<folds>\d+)")
_FEW = re.compile(r"(?P<protocol>.+):few-(?P<kind>random|balanced):(?P<ratio>[^:]+):(?P<seed>[^:]+)")
_SEEN = re.compile(r"(?P<protocol>.+?):seen-(?P<classes>.+)")


@dataclass(frozen=True)
class Split:
    """The clips of a protocol.

    Args:
        name: the protocol, for example ``xview`` or ``xview:fold1of5``.
        train: rows of the store that train, ascending.
        test: rows of the store that test, ascending; none of them in ``train``.

    Shape:
        - train: (rows,) int64; test: (rows,) int64
    """

    name: str
    train: np.ndarray
    test: np.ndarray


def protocol_names(store: SkeletonStore) -> tuple[str, ...]:
    """Names of the protocols that a store's data set has; none for a data set without published ones.

    Those that every store has (``random:0.8:SEED``, ``loso:SUBJECT``, ``file:PATH``) are not listed,
    unless leaving one subject out is a published protocol of the data set.

    >>> from kinelex.data.splits.published import rules_of
    >>> tuple(rules_of("actors"))
    ('xsub', 'xview', 'unseen')
    """
    return published_names(store)


def get_split(store: SkeletonStore, name: str) -> Split:
    """The training and test rows of a protocol, of a fold of its training part, or with few labels.

    Args:
        name: one of

            - a name of :func:`protocol_names`,
            - ``random:RATIO:SEED``: that share of every class trains,
            - ``loso:SUBJECT``: that subject tests, all others train,
            - ``file:PATH``: the user's own split by ids, a JSON, YAML or CSV file,
            - ``PROTOCOL:foldKofN``: fold K of N of a protocol's training part: the subjects are dealt to
              N groups, and group K tests,
            - ``classes:CLASSES``: all clips of the seen classes train, those of the unseen classes test.
              CLASSES is what :func:`~kinelex.data.splits.seen_classes.class_split` takes,
            - ``PROTOCOL:seen-CLASSES``: a protocol whose training part is left without the unseen classes,
              and without clips that have no label,
            - ``PROTOCOL:few-random:RATIO:SEED`` and ``PROTOCOL:few-balanced:RATIO:SEED``: of the training
              part, or of that of a fold, a share of the labelled clips over all or per class. The clips
              are drawn once and kept as a file of ids in ``<store name>.subsets`` beside the store.

    Raises:
        InputError: the data set has no such protocol, a part of it is empty in this store, the name is
            written wrongly, the training part has fewer subjects than folds, or a file of ids does not
            fit the store.

    >>> import tempfile, numpy as np
    >>> from pathlib import Path
    >>> from kinelex.skeleton import get_layout
    >>> from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_store
    >>> path = Path(tempfile.mkdtemp()) / "tiny.arrow"
    >>> with SkeletonStoreWriter(path, StoreMeta("utd_mhad", get_layout("kinect20"), ("wave",))) as writer:
    ...     for subject in (1, 2, 3, 4):
    ...         writer.add(Sequence(f"s{subject}", np.ones((2, 1, 20, 3)), label=0, subject=subject))
    >>> get_split(open_store(path), "xsub")
    Split(name='xsub', train=array([0, 2]), test=array([1, 3]))
    >>> get_split(open_store(path), "xsub:fold1of2")
    Split(name='xsub:fold1of2', train=array([2]), test=array([0]))
    >>> get_split(open_store(path), "loso:2")
    Split(name='loso:2', train=array([0, 2, 3]), test=array([1]))
    """
    few, fold = _FEW.fullmatch(name), _FOLD.fullmatch(name)
    if few is not None:
        if _FEW.fullmatch(few["protocol"]):
            raise _unknown_form(name)
        base = get_split(store, few["protocol"])
        return Split(name, _few(store, base, name, few), base.test)
    if fold is not None:
        of_seen = _SEEN.fullmatch(fold["protocol"])
        base = get_split(store, fold["protocol"]) if of_seen else _whole(store, fold["protocol"], name)
        return _fold(store, base, name, int(fold["fold"]), int(fold["folds"]))
    if (seen := _SEEN.fullmatch(name)) is not None:
        base = get_split(store, seen["protocol"])
        return Split(name, _of_seen_classes(store, base, name, seen["classes"]), base.test)
    return _whole(store, name, name)


def split_sizes(store: SkeletonStore) -> dict[str, tuple[int, int]]:
    """Number of training and test clips of every protocol; 0 where the store has none of them."""
    return {name: (len(train), len(test)) for name, (train, test) in protocol_parts(store).items()}


def protocol_parts(store: SkeletonStore) -> dict[str, Parts]:
    """Training and test rows of every protocol of the data set; a part may be empty.

    Shape:
        - returns: per protocol (rows,) and (rows,) int64
    """
    return {name: _parts(store, name) for name in protocol_names(store)}


def _parts(store: SkeletonStore, name: str) -> Parts:
    generate = _GENERATED.get(name.partition(":")[0], published_parts)
    return generate(store, name)


def _class_parts(store: SkeletonStore, name: str) -> Parts:
    """``classes:CLASSES``: clips of seen classes train, clips of unseen ones test."""
    classes = class_split(name.removeprefix("classes").removeprefix(":"), store.class_names)
    train, test = (np.flatnonzero(np.isin(store.labels, part)) for part in (classes.seen, classes.unseen))
    return train, test


_GENERATED = {"random": random_parts, "loso": loso_parts, "file": files.file_parts, "classes": _class_parts}


def _of_seen_classes(store: SkeletonStore, base: Split, name: str, classes: str) -> np.ndarray:
    seen = class_split(classes, store.class_names).seen
    rows = base.train[np.isin(store.labels[base.train], seen)]
    if not len(rows):
        raise InputError(f"{name}: no clip of the training part of {base.name} is of a seen class")
    return rows


def _whole(store: SkeletonStore, name: str, asked: str) -> Split:
    """A protocol that is neither a fold nor a subset, both parts of it not empty."""
    named = name.partition(":")[0] in _GENERATED or name in protocol_names(store)
    if ":" in name and not named and store.meta.dataset != "sysu":
        raise _unknown_form(asked)
    split = Split(name, *_parts(store, name))
    for part in ("train", "test"):
        if not len(getattr(split, part)):
            worded = rule_in_words(store, name, part)
            raise InputError(
                f"{store.path} has no clip for the {part} part of {name}{f' ({worded})' if worded else ''}: "
                "prepare the store from the whole data set"
            )
    return split


def _unknown_form(name: str) -> InputError:
    return InputError(
        f"unknown protocol {name!r}: a fold of a protocol's training part is written PROTOCOL:foldKofN, for "
        "example xview:fold1of5; a few-label subset is written PROTOCOL:few-balanced:RATIO:SEED or "
        "PROTOCOL:few-random:RATIO:SEED; one without some classes PROTOCOL:seen-random:UNSEEN:SEED; "
        f"every store has {ANY_STORE}"
    )


def _few(store: SkeletonStore, base: Split, name: str, match: re.Match[str]) -> np.ndarray:
    ratio, seed = read_ratio(match["ratio"], name), read_seed(match["seed"], name)
    path = files.subset_path(store, name)
    if path.exists():
        return files.read_subset(store, path, base.train, base.name)
    rows = few_labels(store, base.train, match["kind"], ratio, seed)
    files.write_subset(store, path, rows, name, len(base.train))
    return rows


def _fold(store: SkeletonStore, base: Split, name: str, fold: int, folds: int) -> Split:
    if folds < 2 or not 1 <= fold <= folds:
        raise InputError(f"unknown protocol {name!r}: expects at least 2 folds, counted from 1")
    subjects = store.subjects[base.train]
    if (subjects < 0).any():
        raise InputError(f"{store.path} has clips without a subject, so folds of {base.name} cannot be made")
    count = len(np.unique(subjects))
    if count < folds:
        raise InputError(
            f"{name} needs {folds} subjects, the training part of {base.name} has {count}: "
            f"ask for at most {count} folds"
        )
    held_out = np.isin(subjects, _deal(subjects, folds)[fold - 1])
    return Split(name, base.train[~held_out], base.train[held_out])


def _deal(subjects: np.ndarray, folds: int) -> list[list[int]]:
    """Deal subjects to folds of similar size: the one with most clips first, to the smallest fold."""
    numbers, clips = np.unique(subjects, return_counts=True)
    groups: list[list[int]] = [[] for _ in range(folds)]
    sizes = [0] * folds
    for i in np.argsort(-clips, kind="stable"):
        smallest = sizes.index(min(sizes))
        groups[smallest].append(int(numbers[i]))
        sizes[smallest] += int(clips[i])
    return groups
