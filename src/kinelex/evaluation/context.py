"""What every task of ``kinelex evaluate`` gets and gives back.

A task is a class with a ``name``, a ``title`` (its row in tables), ``Options`` (a frozen dataclass, every
field with a default) and ``run(context, options)``; :data:`kinelex.evaluation.TASKS` knows it by name. Where
it can tell from its options, the run and the clips that it will have to refuse, it has
``check(context, options)`` too, which raises an InputError and computes nothing: the checks of all tasks come
before the first task runs.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from rich.console import Console

from kinelex.data import PromptStore, SkeletonStore
from kinelex.data.labelled_clips import copies, subject_groups
from kinelex.errors import unknown_name
from kinelex.evaluation.degrade import Change, Seeded
from kinelex.evaluation.probe_data import Crops, Prediction, ProbeData
from kinelex.evaluation.streams import fused, judged_numbers
from kinelex.inference.cache import Cache, digest, encoder_digest, read_table, with_rows
from kinelex.inference.features import extract_all
from kinelex.progress import progress_bar
from kinelex.training.encoder_files import SkeletonEncoder, load_encoders
from kinelex.training.run_directory import RunDirectory


@dataclass
class TaskResult:
    """What a task found.

    Args:
        numbers: ready for JSON. ``rule``: one plain sentence that says what is trained on what and what is
            measured; ``top1`` with ``ci95`` where it is a classification rate.
        scores: by stream, of all clips of ``Context.test``; ``""`` is the only stream, or
            all together as :func:`kinelex.inference.fusion.fuse` puts them. They become score files; may
            be empty.
        curves: what the report may draw: ``{"x": [...], "y": [...], "label": ...}`` by name.

    Shape:
        - scores: (n_test, classes)
    """

    numbers: dict[str, Any]
    scores: dict[str, np.ndarray] = field(default_factory=dict)
    curves: dict[str, Any] = field(default_factory=dict)


class Task(Protocol):
    """A task of ``kinelex evaluate``.

    Attributes:
        name: what ``--tasks`` calls it, and the section of its options (``knn.k=5``).
        title: its row in tables.
        Options: a frozen dataclass; the ``Args`` of its docstring are the help texts. A ``Path`` to a file
            counts in the cache by the file's content.
        reads_prompts: whether its result depends on the prompt store. Optional, False where it is missing.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    Options: ClassVar[type]

    def run(self, context: Context, options: Any) -> TaskResult:
        """Judge the run."""
        ...


@dataclass
class Context:
    """A run and the clips that it is judged on.

    Args:
        run: the run directory.
        encoders: its encoders by stream, reading the store's layout.
        store: the skeleton store.
        protocol: the split.
        train, test: its labelled rows of the store.
        prompts: the prompt store, if there is one for this skeleton store.
        device: where to compute.
        seed: of whatever is random.
        batch_size: clips per forward pass; by default what is fast.
        console: where messages go.
        fresh: do not read what earlier calls have cached.

    Shape:
        - train: (n_train,); test: (n_test,)
    """

    run: RunDirectory
    encoders: dict[str, SkeletonEncoder]
    store: SkeletonStore
    protocol: str
    train: np.ndarray
    test: np.ndarray
    prompts: PromptStore | None = None
    device: str = "cpu"
    seed: int = 0
    batch_size: int | None = None
    console: Console = field(default_factory=Console)
    fresh: bool = False

    def __post_init__(self) -> None:
        folder = self.run.path / "evaluation" / "cache"
        self.cache = Cache(folder, self.fresh)
        beside = self.store.path.with_name(f"{self.store.path.name}.baselines")
        self.shared = Cache(folder, self.fresh, beside)  # for what is not the run's own
        self._tables: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the store's classes."""
        return self.store.class_names

    @property
    def truth(self) -> np.ndarray:
        """Classes of the test clips: (n_test,). To judge with, never to fit."""
        return self.store.labels[self.test]

    @property
    def labelled(self) -> bool:
        """Whether the test clips have classes: all of them have, or none of the store's clips."""
        return bool((self.truth >= 0).all())

    @cached_property
    def store_digest(self) -> str:
        """Stands for everything in the store."""
        return self.shared.file_digest(self.store.path)

    @cached_property
    def clips_digest(self) -> str:
        """Stands for the clips that the run is judged on."""
        return digest(self.store_digest, self.protocol, self.train, self.test)

    def file_digest(self, path: Path) -> str:
        """The SHA-256 of a file; that of a large one is kept in the cache."""
        return self.cache.file_digest(path)

    @cached_property
    def encoder_digests(self) -> dict[str, str]:
        """Stand for the encoders, by stream."""
        return {stream: encoder_digest(encoder) for stream, encoder in self.encoders.items()}

    @cached_property
    def copied(self) -> np.ndarray:
        """Which test clips are copies of training clips: (n_test,) bool."""
        key = digest(self.store_digest, self.train, self.test)
        found = self.shared.read("copies", key)
        if found is None or "copied" not in found:
            found = {"copied": copies(self.store, self.train, self.test)}
            self.shared.write("copies", key, found)
        return found["copied"]

    def features(
        self, stream: str, rows: np.ndarray, variant: str = "", change: Change | None = None
    ) -> np.ndarray:
        """Features of clips, prepared as at test time; computed once and then read from the run's cache.

        The clips are passed through the encoders of all streams at once, so that asking for one stream after
        the other costs nothing, and a random change is the same for all of them.

        Args:
            stream: a stream of ``encoders``.
            rows: rows of the store.
            variant: a name for the changed clips, which must tell all parameters: ``noise-0.05``.
            change: changes a batch of one clip as loaded (``frames`` and ``lengths``); its generator is
                seeded for each clip by ``seed`` and ``variant``.

        Shape:
            - rows: (n,)
            - returns: (n, F) float32

        Raises:
            InputError: no such stream, or a feature that is no finite number.
            ValueError: a change without a variant, or the other way round.

        >>> Context.features.__name__
        'features'
        """
        if (change is None) != (variant == ""):
            raise ValueError("a change of the clips needs the name of a variant, and a variant its change")
        return self._features(stream, rows, None if change is None else Seeded(self.seed, variant, change))

    def crops(self, stream: str, rows: np.ndarray, number: int) -> np.ndarray:
        """Features of clips whose frames are chosen at random as in training, and cached as those above.

        Args:
            stream, rows: as in :meth:`features`.
            number: tells one choice from another, beside ``seed`` and the clip.

        Shape:
            - rows: (n,)
            - returns: (n, F) float32
        """
        return self._features(stream, rows, Seeded(self.seed, f"crop-{number}"))

    def _features(self, stream: str, rows: np.ndarray, drawn: Seeded | None) -> np.ndarray:
        if stream not in self.encoders:
            raise unknown_name(f"stream of {self.run.path}", stream, self.encoders)
        rows = np.asarray(rows, dtype=np.int64)
        known, values = self._table(stream, drawn)
        missing = np.setdiff1d(rows, known)
        if len(missing):
            self._extract(missing, drawn)
            known, values = self._table(stream, drawn)
        return values[np.searchsorted(known, rows)]

    def untrained(self) -> Context:
        """The same with the architecture of the run and random weights."""
        return replace(self, encoders=load_encoders(self.run.path, self.seed, self.store))

    def probe_data(self, train: np.ndarray | None = None, crops: int = 0) -> dict[str, ProbeData]:
        """Features of the training part, or other rows, and the test part by stream, for a task on them.

        Args:
            train: the other rows.
            crops: how many further choices of their frames there are features of, see :meth:`crops`.

        Shape:
            - train: (n,)
        """
        train = self.train if train is None else train
        both, labels = np.concatenate([train, self.test]), self.store.labels[train]
        about = (len(self.class_names), subject_groups(self.store, train), self.device, self.seed)
        parts = {stream: np.split(self.features(stream, both), [len(train)]) for stream in self.encoders}
        for number in range(crops):  # of all streams at once
            self.crops(next(iter(parts)), train, number)
        return {
            stream: ProbeData(
                fit,
                labels,
                test,
                *about,
                self.encoders[stream].last_layer(),
                Crops(crops, partial(self.crops, stream, train)),
            )
            for stream, (fit, test) in parts.items()
        }

    def judged(
        self, task: str, alone: Mapping[str, Prediction], whole: Prediction | None = None
    ) -> TaskResult:
        """The result of a task that classifies the test clips by each stream alone, and fused.

        Args:
            task: name of the task: votes (``knn``) are fused in another way than scores.
            alone: what it found by stream.
            whole: what all streams found together, where that is not the fusion of their scores.

        Returns:
            The numbers of :func:`kinelex.evaluation.streams.judged_numbers` (rates, confusion, ``ci95``) with
            the predictions' details, and the scores. The task adds its ``rule``.
        """
        whole = whole or fused(task, alone)
        numbers = judged_numbers(whole, alone, self.truth, self.class_names, self.copied, self.seed)
        scores = {"": whole.scores}
        if len(alone) > 1:
            scores |= {stream: prediction.scores for stream, prediction in alone.items()}
        return TaskResult(numbers, scores)

    def _table(self, stream: str, drawn: Seeded | None) -> tuple[np.ndarray, np.ndarray]:
        """Rows whose features are known, in order, and those features."""
        if drawn is None and stream in self._tables:
            return self._tables[stream]
        table = read_table(self.cache, *self._feature_file(stream, drawn), self.encoders[stream].num_features)
        if drawn is None:  # of changed clips there may be many: they wait in their files
            self._tables[stream] = table
        return table

    def _feature_file(self, stream: str, drawn: Seeded | None) -> tuple[str, str]:
        variant, seed = ("", None) if drawn is None else (drawn.variant, drawn.seed)
        own = ("frames",) if drawn is not None and drawn.change is None else ()
        key = digest(self.encoder_digests[stream], self.store_digest, variant, seed, *own)
        return "-".join(filter(None, ("features", stream, variant))), key

    def _extract(self, rows: np.ndarray, drawn: Seeded | None) -> None:
        """Pass clips through all encoders and keep their features."""
        crops = drawn.generator if drawn is not None and drawn.change is None else None
        how = self.store, rows, self.batch_size, self.device, None if crops else drawn
        with progress_bar("features", sys.stderr.isatty()) as update:
            found = extract_all(self.encoders, *how, crops=crops, progress=update)
        for stream, features in found.items():
            known, values = table = with_rows(self._table(stream, drawn), rows, features)
            if drawn is None:
                self._tables[stream] = table
            name, key = self._feature_file(stream, drawn)
            self.cache.write(name, key, {"rows": known, "features": values})
