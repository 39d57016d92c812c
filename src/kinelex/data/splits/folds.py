"""Protocols that stand for several, with a star: every subject left out, every fold."""

from __future__ import annotations

import re

from kinelex.data import SkeletonStore
from kinelex.data.splits.published import known_subjects
from kinelex.data.splits.split import get_split, protocol_names
from kinelex.errors import InputError

_FOLDS = re.compile(r"(?P<protocol>.+):fold\*of(?P<folds>\d+)")


def fold_names(store: SkeletonStore, protocol: str) -> list[str]:
    """The protocols that one with a star stands for; each is checked to have clips.

    Args:
        protocol: ``loso:*`` (each subject in turn), ``PROTOCOL:fold*ofN`` (folds of the training part), or
            published protocols whose names differ in a number, such as ``fold*`` of SBU.

    Raises:
        InputError: no protocol of the store is meant, or only one.

    >>> import tempfile, numpy as np
    >>> from pathlib import Path
    >>> from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_store
    >>> from kinelex.skeleton import get_layout
    >>> path = Path(tempfile.mkdtemp()) / "tiny.arrow"
    >>> with SkeletonStoreWriter(path, StoreMeta("utd_mhad", get_layout("kinect20"), ("wave",))) as writer:
    ...     for subject in (1, 2, 3, 4):
    ...         writer.add(Sequence(f"s{subject}", np.ones((2, 1, 20, 3)), label=0, subject=subject))
    >>> fold_names(open_store(path), "loso:*"), fold_names(open_store(path), "xsub:fold*of2")
    (['loso:1', 'loso:2', 'loso:3', 'loso:4'], ['xsub:fold1of2', 'xsub:fold2of2'])
    """
    match = _FOLDS.fullmatch(protocol)
    if match is not None:
        names = [f"{match['protocol']}:fold{k}of{match['folds']}" for k in range(1, int(match["folds"]) + 1)]
    elif protocol == "loso:*":
        names = [f"loso:{subject}" for subject in known_subjects(store)]
    else:
        form = re.compile(re.escape(protocol).replace(r"\*", r"\d+"))
        names = [name for name in protocol_names(store) if form.fullmatch(name)]
    if len(names) < 2:
        raise InputError(
            f"{protocol!r} stands for several protocols, {store.path} has {len(names)} of them: expects "
            "loso:*, PROTOCOL:fold*ofN (folds of a training part), or published ones whose names differ in a "
            "number"
        )
    for name in names:
        get_split(store, name)
    return names
