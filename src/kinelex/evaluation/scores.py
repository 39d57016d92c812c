"""Score files: what a classifier says of every test clip, kept so that several can be put together.

An ``.npz`` file without pickles: the arrays ``ids`` (text), ``labels``, ``logits`` (float32, clips by
classes) and ``classes`` (text), and ``about``, a JSON text that says where they come from.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.data import SkeletonStore
from kinelex.data.splits.files import as_file_name
from kinelex.errors import InputError
from kinelex.evaluation.context import Context
from kinelex.files.atomic import check_target, spare_stores, write_whole
from kinelex.files.bounded import safe_json
from kinelex.files.npy import read_npz
from kinelex.inference.fusion import softmax
from kinelex.training.encoder_files import streams_of
from kinelex.training.learned import learned_parts
from kinelex.training.run_directory import RunDirectory

_ABOUT = ("dataset", "protocol", "store_fingerprint", "task", "stream", "run")
_FORMS = "a score file (.npz) that `kinelex evaluate` wrote, or a pickle of CTR-GCN's or MMCL's code"


@dataclass(frozen=True)
class ScoreFile:
    """Scores of clips, and where they come from; a text is empty where that is not known.

    Args:
        ids: the clips.
        labels: their classes.
        logits: scores by class, higher is better: logits, or shares of votes where ``task`` is ``knn``.
        classes: one name per column of ``logits``.
        dataset, protocol, store_fingerprint: what was judged on.
        task: ``classify``, ``linear``, ``knn``, ...
        stream: the stream; empty for several together.
        run: name of the run directory, or of the file.
        learned: the parts whose labels the run learned, each a store's fingerprint and a protocol; None where
            that is not known.

    Shape:
        - labels: (n,); logits: (n, classes)

    Raises:
        InputError: lengths that do not fit, an id twice, a label out of range, or a score that is no number.

    >>> import tempfile
    >>> scores = ScoreFile(("a", "b"), np.array([0, 1]), np.eye(2), ("sit", "walk"), task="classify")
    >>> scores.save(Path(tempfile.mkdtemp()) / "scores.npz")
    >>> scores.probabilities().round(2).tolist()
    [[0.73, 0.27], [0.27, 0.73]]
    """

    ids: tuple[str, ...]
    labels: np.ndarray
    logits: np.ndarray
    classes: tuple[str, ...]
    dataset: str = ""
    protocol: str = ""
    store_fingerprint: str = ""
    task: str = ""
    stream: str = ""
    run: str = ""
    learned: tuple[tuple[str, str], ...] | None = None

    def __post_init__(self) -> None:
        n, expected = len(self.ids), (len(self.ids), len(self.classes))
        if self.labels.shape != (n,) or self.logits.shape != expected or 0 in expected:
            shapes = f"{self.labels.shape} and {self.logits.shape}"
            raise InputError(f"expects labels ({n},) and scores {expected}, got {shapes}")
        if len(set(self.ids)) < n:
            raise InputError(f"{n - len(set(self.ids))} ids stand there twice")
        if not ((self.labels >= 0) & (self.labels < len(self.classes))).all():
            raise InputError(f"expects labels from 0 to {len(self.classes) - 1}")
        if np.isnan(self.logits).any() or not np.isfinite(self.logits.max(axis=1)).all():
            raise InputError("scores are no numbers, or a clip has no finite one")

    @classmethod
    def of(
        cls, store: SkeletonStore, protocol: str, rows: np.ndarray, scores: np.ndarray, **about: Any
    ) -> ScoreFile:
        """Scores of a store's clips; ``about`` are ``task``, ``stream``, ``run`` and ``learned``.

        Shape:
            - rows: (n,); scores: (n, classes)
        """
        about |= {"dataset": store.meta.dataset, "protocol": protocol, "store_fingerprint": store.fingerprint}
        ids = tuple(store.ids[row] for row in rows)
        return cls(ids, store.labels[rows], scores, store.class_names, **about)

    @property
    def name(self) -> str:
        """What to call it in a table."""
        return " ".join(filter(None, (self.run, self.stream))) or "scores"

    def probabilities(self) -> np.ndarray:
        """Softmax of the logits; votes as they are.

        Shape:
            - returns: (n, classes)
        """
        return self.logits.astype(np.float64) if self.task == "knn" else softmax(self.logits)

    def save(self, path: Path) -> None:
        """Write the file; it appears whole or not at all."""
        check_target(path)
        spare_stores(path)
        about = {key: getattr(self, key) for key in _ABOUT} | {"format_version": 1, "learned": self.learned}
        packed = io.BytesIO()
        np.savez(
            packed,
            ids=np.array(self.ids, dtype=np.str_),
            labels=self.labels.astype(np.int64),
            logits=self.logits.astype(np.float32),
            classes=np.array(self.classes, dtype=np.str_),
            about=np.array(json.dumps(about)),
        )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, packed.getvalue())
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}") from error


def load_scores(path: str | Path) -> ScoreFile:
    """Read a score file.

    Raises:
        InputError: no such file, none of this form, or a damaged one. No pickle is run.
    """
    try:
        file = read_npz(Path(path))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: expects {_FORMS}") from None
    except (InputError, OSError) as error:
        raise InputError(f"{path} is no score file, or a damaged one: expects {_FORMS}") from error
    try:
        about = safe_json(str(file["about"]))
        learned = about["learned"]
        return ScoreFile(
            tuple(map(str, file["ids"])),
            file["labels"].astype(np.int64, casting="same_kind"),
            file["logits"].astype(np.float32, casting="same_kind"),
            tuple(map(str, file["classes"])),
            **{key: str(about[key]) for key in _ABOUT},
            learned=None if learned is None else tuple((str(a), str(b)) for a, b in learned),
        )
    except InputError as error:
        raise InputError(f"{path} is damaged: {error}") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no score file, or a damaged one: expects {_FORMS}") from error


def score_path(run: Path, protocol: str, task: str, stream: str = "") -> Path:
    """Where ``evaluate`` keeps the scores of a task; without a stream those of all streams together.

    >>> str(score_path(Path("run"), "xview:fold1of5", "classify", "bone"))
    'run/evaluation/scores/xview_fold1of5/classify-bone.npz'
    """
    name = f"{task}-{stream}.npz" if stream else f"{task}.npz"
    return run / "evaluation" / "scores" / as_file_name(protocol) / name


def scores_of_run(run: Path, protocol: str, task: str) -> list[Path]:
    """The score files that a run directory stands for: one per stream.

    Raises:
        InputError: no run, or one that was not judged by that task and protocol.
    """
    streams = streams_of(RunDirectory(run).path)
    if not streams:
        raise InputError(f"{run} has no scores, its training has not finished: go on with --resume")
    paths = [score_path(run, protocol, task, s if len(streams) > 1 else "") for s in streams]
    missing = next((path for path in paths if not path.is_file()), None)
    if missing is not None:
        raise InputError(
            f"{run} has no scores of {task} for {protocol}: make them with `kinelex evaluate {run} "
            f"--data STORE --protocol {protocol} --tasks {task}`"
        )
    return paths


def write_scores(context: Context, task: str, scores: Mapping[str, np.ndarray]) -> Path:
    """Keep a task's scores of the test clips, by stream; with several streams ``""`` is all of them together.

    Returns:
        The folder with the files.
    """
    run, protocol, store = context.run, context.protocol, context.store
    learned = tuple((part["store_fingerprint"], part["protocol"]) for part in learned_parts(run.config))
    about = {"task": task, "run": run.path.resolve().name, "learned": learned}
    if len(scores) == 1:
        scores = {"+".join(context.encoders): scores[""]}
    for stream, values in scores.items():
        if not stream and task != "knn":  # all streams' mean is of softmax scores
            with np.errstate(divide="ignore"):
                values = np.log(values)
        path = score_path(run.path, protocol, task, stream if len(scores) > 1 else "")
        ScoreFile.of(store, protocol, context.test, values, stream=stream, **about).save(path)
    return path.parent
