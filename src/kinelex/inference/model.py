"""A run that answers: which class a clip is of, how sure, or none of them."""

from __future__ import annotations

from collections.abc import Sequence as Rows
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from kinelex.data import SkeletonStore
from kinelex.data.persons import say_crowded
from kinelex.datasets.single import ReadOptions
from kinelex.errors import InputError
from kinelex.facts import Facts
from kinelex.inference.calibration import Calibration, known_scores
from kinelex.inference.clips import Clips, clips_of_arrays, persons_alone, read_inputs
from kinelex.inference.events import event_options, find_timelines
from kinelex.inference.features import extract_all
from kinelex.inference.fusion import joined
from kinelex.inference.heads import Head
from kinelex.inference.known_clips import KnownClips
from kinelex.runtime.predictions import ClipPrediction, Predictions
from kinelex.skeleton import SkeletonLayout, get_layout
from kinelex.training.encoder_files import SkeletonEncoder

_PART = 1024  # clips whose persons are held at once


class Model(Facts):
    """A run's encoders with what tells classes by their features; made by :func:`kinelex.load_model`.

    Args:
        run: the run directory.
        encoders: its encoders by stream.
        head: scores classes by features.
        by: what the head is, in words.
        calibration: how scores become probabilities, and from which score on a clip is known.
        dataset: the data set that the run was trained on, whose raw files are known by their names.
        device: where the encoders run.
        console: where messages go; stderr by default.
        known_clips: clips that the model knows, by which others are told to be of none of the classes.
    """

    def __init__(
        self,
        run: Path,
        encoders: dict[str, SkeletonEncoder],
        head: Head,
        by: str,
        calibration: Calibration | None = None,
        dataset: str | None = None,
        device: str = "cpu",
        console: Console | None = None,
        known_clips: KnownClips | None = None,
    ) -> None:
        self.run, self.encoders, self.head, self.by = run, encoders, head, by
        self.calibration = calibration or Calibration()
        self.dataset, self.device = dataset, device
        self.console, self.known_clips = console or Console(stderr=True), known_clips
        self.examples: dict[str, Any] | None = None
        self.has_raw_examples = False
        self.data: Path | None = None  # the training store, where it is not where the run was trained

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.head.classes

    @property
    def layout(self) -> SkeletonLayout:
        """The layout that the run reads; clips of other layouts are retargeted to it."""
        return next(iter(self.encoders.values())).layout

    def say(self, text: str) -> None:
        """Tell the user, as it is."""
        self.console.print(text, markup=False, soft_wrap=True)

    def facts(self) -> dict[str, Any]:
        """Run, classes, layout, what tells the classes, and what it was calibrated on."""
        return {
            "run": str(self.run),
            "classes": len(self.classes),
            "by": self.by,
            "layout": f"{self.layout.name}, {self.layout.num_joints} joints",
            "streams": ", ".join(self.encoders),
            "temperature": round(self.calibration.temperature, 3),
            "calibrated_on": self.calibration.source,
        }

    def predict(
        self,
        frames: np.ndarray | Rows[np.ndarray] | SkeletonStore,
        layout: str | SkeletonLayout | None = None,
        fps: float | Rows[float] | None = None,
    ) -> Any:
        """Say of which class clips are.

        Args:
            frames: one clip, a list of clips, or a store.
            layout: the layout of their joints; by default that of the run.
            fps: frames per second, of all clips or of each; for runs that resample to one rate.

        Returns:
            A :class:`ClipPrediction` of one clip, :class:`Predictions` of several.

        Shape:
            - frames: (T, V, C) or (T, M, V, C); C coordinates in metres (2-D: as the run was trained)

        Raises:
            InputError: no frames, no finite numbers, joints that cannot be retargeted, or other coordinates
                than the run reads.
        """
        groups, one = self._given(frames, layout, fps)
        found = self.predict_clips(groups)
        return found[0] if one else found

    def events(
        self,
        frames: np.ndarray | Rows[np.ndarray] | SkeletonStore,
        layout: str | SkeletonLayout | None = None,
        fps: float | Rows[float] | None = None,
        **options: Any,
    ) -> Any:
        """Say what happens in long recordings: who, from when to when.

        Args:
            frames, layout, fps: as :meth:`predict`.
            **options: of :class:`~kinelex.inference.events.EventOptions`.

        Returns:
            A :class:`~kinelex.inference.events.Timeline` of one recording, a list of several.

        Raises:
            InputError: as :meth:`predict`, or an option out of range.
        """
        groups, one = self._given(frames, layout, fps)
        found = find_timelines(self, groups, event_options(**options))
        return found[0] if one else found

    def _given(
        self,
        frames: np.ndarray | Rows[np.ndarray] | SkeletonStore,
        layout: str | SkeletonLayout | None,
        fps: float | Rows[float] | None,
    ) -> tuple[list[Clips], bool]:
        """Clips, and whether they are one."""
        if isinstance(frames, SkeletonStore):
            return [frames], False
        given = get_layout(layout) if isinstance(layout, str) else layout or self.layout
        one = isinstance(frames, np.ndarray) or not isinstance(frames, list | tuple)
        arrays = [np.asarray(frames)] if one else list(frames)
        if not arrays:
            raise InputError("expects at least one clip, got none")
        return [clips_of_arrays(arrays, given, fps)], one

    def predict_files(
        self, sources: str | Path | Rows[str | Path], read: ReadOptions | None = None
    ) -> Predictions:
        """Say of which class the clips of files, folders and stores are.

        Args:
            sources: a skeleton store, a clip of any format that ``kinelex prepare`` reads or a folder of
                clips, or several of them.
            read: how raw clips are read.

        Raises:
            InputError: a source that is not there or cannot be read, and as :meth:`predict`.
        """
        return self.predict_clips(self.read_files(sources, read))

    def read_files(
        self, sources: str | Path | Rows[str | Path], read: ReadOptions | None = None
    ) -> list[Clips]:
        """The clips of files, folders and stores; what there is to say about them goes to the console.

        Raises:
            InputError: a source that is not there or cannot be read.
        """
        if not sources:
            raise InputError("expects a clip, a folder of clips or a store")
        paths = [Path(s) for s in ([sources] if isinstance(sources, str | Path) else sources)]
        clips, notes = read_inputs(paths, read or ReadOptions(), self.dataset, self.has_raw_examples)
        for note in notes:
            self.say(note)
        return clips

    def predict_clips(self, groups: Rows[Clips]) -> Predictions:
        """Say of which class the clips of each group are.

        Raises:
            InputError: as :meth:`predict`.
        """
        reading = [self.reading(clips) for clips in groups]  # all are checked before one is computed
        found: list[ClipPrediction] = []
        for clips, encoders in zip(groups, reading, strict=True):
            places = next(iter(encoders.values())).pipeline.config.persons
            say_crowded(self.console, clips, np.arange(len(clips)), places)
            for first in range(0, len(clips), _PART):
                rows = np.arange(first, min(first + _PART, len(clips)))
                found += self._predict_rows(clips, rows, encoders)
        return Predictions(found)

    def _predict_rows(
        self, clips: Clips, rows: np.ndarray, encoders: dict[str, SkeletonEncoder]
    ) -> list[ClipPrediction]:
        whole = self._said([clips.ids[row] for row in rows], self.features(clips, rows, encoders))
        alone, places = persons_alone(clips, rows)
        persons: list[list[ClipPrediction]] = [[] for _ in rows]
        if alone is not None:
            said = self._said(alone.ids, self.features(alone, np.arange(len(alone)), encoders))
            for place, one in zip(places, said, strict=True):
                persons[place].append(one)
        return [
            ClipPrediction(
                one.id, one.classes, one.probabilities, one.score, one.threshold, tuple(own or [one])
            )
            for one, own in zip(whole, persons, strict=True)
        ]

    def _said(self, ids: list[str], features: dict[str, np.ndarray]) -> list[ClipPrediction]:
        probabilities, known, threshold = self.told(features)
        return [
            ClipPrediction(name, self.classes, p, float(score), threshold)
            for name, p, score in zip(ids, probabilities, known, strict=True)
        ]

    def told(self, features: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, float | None]:
        """What is said of clips by their features.

        Returns:
            Probabilities of the classes, how well each clip is known, and the least of that at which one is;
            None where nothing tells it.

        Shape:
            - features: (n, F) by stream
            - returns: (n, classes) and (n,)
        """
        scores, calibration = self.head.scores(features), self.calibration
        probabilities = calibration.probabilities(scores)
        if self.known_clips is None or calibration.neighbour is None:
            return probabilities, known_scores(scores), calibration.threshold
        cosines = self.known_clips.cosines(joined([features[stream] for stream in self.encoders]))
        return probabilities, cosines, calibration.neighbour

    @property
    def known_by(self) -> str:
        """By what clips are told to be of none of the classes: ``neighbour`` or ``score``."""
        return "score" if self.known_clips is None or self.calibration.neighbour is None else "neighbour"

    def reading(self, clips: Clips) -> dict[str, SkeletonEncoder]:
        """The encoders for clips of another layout, which are retargeted, with the run's person places.

        Raises:
            InputError: joints that cannot be retargeted, other coordinates than the run reads, or clips that
                do not say their frame rate, where the run resamples to one.
        """
        found = {}
        for stream, encoder in self.encoders.items():
            wanted = encoder.pipeline.config.fps
            unknown = np.flatnonzero(np.isnan(clips.fps))
            if wanted is not None and len(unknown):
                first = f"{clips.ids[unknown[0]]} of {clips.path}"
                raise InputError(
                    f"the run resamples clips to {wanted:g} frames per second, and {first} does not say its "
                    "rate: pass --fps (fps= in Python)"
                )
            found[stream] = encoder.for_store(clips)
        return found

    def features(
        self, clips: Clips, rows: np.ndarray, encoders: dict[str, SkeletonEncoder] | None = None
    ) -> dict[str, np.ndarray]:
        """Features of clips by stream, what the head scores.

        Shape:
            - rows: (n,)
            - returns: (n, F) by stream
        """
        return extract_all(encoders or self.reading(clips), clips, rows, device=self.device)
