"""Private machinery of ensembles: score files read, matched clip by clip, and refused where they flatter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kinelex.data import SkeletonStore
from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.evaluation.score_pickles import read_published
from kinelex.evaluation.scores import ScoreFile, load_scores, scores_of_run
from kinelex.training.run_directory import RunDirectory
from kinelex.training.store_runs import check_one_store


def files_of(path: Path, task: str, protocol: str | None = None) -> list[Path]:
    """A score file itself; a run stands for its scores of a task on a protocol, by default its own."""
    if not path.is_dir():
        return [path]
    check_one_store(RunDirectory(path))
    protocol = protocol or RunDirectory(path).config["protocol"]
    if protocol is None:
        raise InputError(f"{path} does not say which protocol it was trained on: pass its score files")
    return scores_of_run(path, protocol, task)


def read_scores(
    path: Path, store: SkeletonStore, test: np.ndarray, protocol: str, order: Path | None = None
) -> ScoreFile:
    """Read a score file, or a pickle of other people's code; see :func:`read_published`."""
    if path.suffix.lower() in (".pkl", ".pickle"):
        return read_published(path, store, test, protocol, order)
    return load_scores(path)


def in_order(
    files: Sequence[ScoreFile], paths: Sequence[Path], store: SkeletonStore, rows: np.ndarray, what: str
) -> list[ScoreFile]:
    """The files with their clips in the order of ``rows``."""
    ids = [store.ids[row] for row in rows]
    return [_ordered(f, p, store, ids, store.labels[rows], what) for f, p in zip(files, paths, strict=True)]


def _ordered(
    file: ScoreFile, path: Path, store: SkeletonStore, ids: list[str], labels: np.ndarray, what: str
) -> ScoreFile:
    if file.classes != store.class_names:
        differ = next((a for a, b in zip(file.classes, store.class_names, strict=False) if a != b), "")
        raise InputError(
            f"{path} has scores of {len(file.classes)} classes, {store.path} has {len(store.class_names)}"
            + (f", and {differ!r} is not the same in both" if differ else "")
            + ": expects scores of the same classes"
        )
    place = {clip: i for i, clip in enumerate(file.ids)}
    missing, beyond = [clip for clip in ids if clip not in place], len(set(file.ids) - set(ids))
    if missing or beyond:
        first = f", the first that it lacks is {missing[0]!r}" if missing else ""
        raise InputError(
            f"{path} has {len(file.ids)} clips ({file.protocol or 'protocol not known'}), {what} has "
            f"{len(ids)}: it lacks {len(missing)} and has {beyond} others{first}: expects scores of the same "
            "clips"
        )
    order = [place[clip] for clip in ids]
    if (file.labels[order] != labels).any():
        raise InputError(
            f"{path} has other labels for the same clips than {store.path}: made for another set?"
        )
    about = {k: v for k, v in vars(file).items() if k not in ("ids", "labels", "logits")}
    return ScoreFile(tuple(ids), labels, file.logits[order], **about)


def held_out(
    paths: list[Path],
    files: Sequence[ScoreFile],
    file_paths: Sequence[Path],
    store: SkeletonStore,
    train: np.ndarray,
    test: np.ndarray,
    protocol: str,
) -> list[ScoreFile]:
    """The scores that weights are searched on, all of the same clips, none of which may flatter."""
    if len(paths) != len(files):
        raise InputError(
            f"expects as many holdout files as score files, of the same models in the same order, got "
            f"{len(paths)} for {len(files)}"
        )
    # So that none is matched by its order: names such as test_0 would count the test part.
    nothing = np.zeros(0, dtype=np.int64)
    held = [read_scores(path, store, nothing, protocol) for path in paths]
    row_of = {clip: row for row, clip in enumerate(store.ids)}
    known = [row_of[clip] for clip in held[0].ids if clip in row_of]
    rows = np.array(sorted(known), dtype=np.int64)
    for path, own, file, beside in zip(paths, held, files, file_paths, strict=True):
        own_rows = np.array([row_of[clip] for clip in own.ids if clip in row_of], dtype=np.int64)
        seen = np.intersect1d(own_rows, test)
        if len(seen):
            raise InputError(
                f"{path}: {len(seen)} of its {len(own.ids)} clips are in the test part of {protocol}: "
                "weights are searched on clips held out of training, for example on xview:fold1of5"
            )
        outside = len(own.ids) - len(np.intersect1d(own_rows, train))
        if outside:
            raise InputError(f"{path}: {outside} of its clips are not in the training part of {protocol}")
        if own.task and file.task and (own.task, own.stream) != (file.task, file.stream):
            raise InputError(
                f"{path} ({own.task} {own.stream}) stands for {beside} ({file.task} {file.stream}): expects "
                "holdout files of the same models in the same order"
            )
        _check_unlearned(path, own, store, own_rows)
    return in_order(held, paths, store, rows, str(paths[0]))


def _check_unlearned(path: Path, file: ScoreFile, store: SkeletonStore, rows: np.ndarray) -> None:
    for fingerprint, protocol in file.learned or ():
        if fingerprint != store.fingerprint:
            continue
        learned = np.intersect1d(get_split(store, protocol).train, rows)
        if len(learned):
            raise InputError(
                f"{path}: its run learned {len(learned)} of these {len(rows)} clips (trained on {protocol}), "
                "on which its scores flatter: train a run on a fold (xview:fold1of5) and evaluate it there"
            )
