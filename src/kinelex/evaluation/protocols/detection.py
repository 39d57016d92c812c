"""Task ``detection``: events in long recordings, of which class, from when to when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kinelex.data.labelled_clips import subject_groups
from kinelex.errors import InputError
from kinelex.evaluation.baselines import raw_features
from kinelex.evaluation.context import Context, TaskResult
from kinelex.evaluation.detection_metrics import TIOUS, Detection, Spans
from kinelex.evaluation.frozen_classifier import known_model, learned_labels
from kinelex.evaluation.recordings import Recording, from_clips, from_pku, from_store
from kinelex.inference.calibration import Calibration, calibrate, known_scores
from kinelex.inference.events import spans_of, suppress
from kinelex.inference.heads import NearestHead
from kinelex.inference.linear_probe import training_folds
from kinelex.inference.usual_windows import quantile_lengths
from kinelex.inference.windows import Judge, judge_of, score_frames
from kinelex.skeleton import has_landmarks
from kinelex.transforms.normalise import TORSO

HEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)  # at which events of all confidences are looked for
OVERLAP = 0.4  # of two events of one class that overlap by more, the surer one stays
_CHANCE = 10  # draws


@dataclass(frozen=True)
class DetectionOptions:
    """Options of ``detection``.

    Args:
        source: long recordings: the raw files of PKU-MMD, or a skeleton store with detection.intervals; by
            default recordings are put together from the test clips.
        intervals: the events of a store's recordings, a table with recording, class, start, end (seconds).
        clips: how many test clips are put together to a recording.
        gap: mean pause before and after each of them, as a share of their median length.
        windows: how many lengths of windows, at even quantiles of the training clips' lengths.
    """

    source: Path | None = None
    intervals: Path | None = None
    clips: int = 8
    gap: float = 0.5
    windows: int = 3

    def __post_init__(self) -> None:
        for name in ("clips", "windows"):
            if getattr(self, name) < 1:
                raise InputError(f"expects detection.{name} of at least 1, got {getattr(self, name)}")
        if not 0 <= self.gap <= 100:
            raise InputError(f"expects detection.gap of 0 to 100, got {self.gap}")
        if self.intervals is not None and self.source is None:
            raise InputError(
                "detection.intervals are of the recordings of detection.source=STORE: pass it too"
            )


class DetectionTask:
    """Events are found in long recordings, as ``kinelex events`` does."""

    name: ClassVar[str] = "detection"
    title: ClassVar[str] = "detection"
    Options: ClassVar[type] = DetectionOptions

    def check(self, context: Context, options: DetectionOptions) -> None:
        """Refuse recordings that are not there.

        Raises:
            InputError: no such file, or a store of recordings without its table of events.
        """
        source = options.source
        if source is not None and not source.exists():
            raise InputError(f"detection.source={source} does not exist")
        if source is not None and (options.intervals is None) == source.is_file():
            raise InputError(
                "expects detection.source=FOLDER with the raw files of PKU-MMD, or detection.source=STORE "
                f"with detection.intervals=TABLE, got {source}"
            )

    def run(self, context: Context, options: DetectionOptions) -> TaskResult:
        """Judge the run.

        Raises:
            InputError: recordings that cannot be read.
        """
        model = known_model(context, context.train)
        if tuple(model.classes) != context.class_names:
            raise InputError(f"{context.run.path} tells other classes than {context.store.path} has")
        judges = {"": judge_of(model), "nearest": _nearest(context)}
        lengths = quantile_lengths(context.store.lengths[context.train], options.windows)
        found: dict[str, list[Spans]] = {name: [] for name in judges}
        true, tiles = [], []
        for recording in _recordings(context, options):
            own = [round(length * _pace(context, recording)) for length in lengths]
            for name, judge in judges.items():
                found[name].append(_found(recording, judge, own, len(context.class_names)))
            true.append(recording.true)
            tiles.append(_tiles(recording, own[len(own) // 2]))
        detections = {name: Detection(one, true, len(context.class_names)) for name, one in found.items()}
        ours = detections.pop("")
        numbers: dict[str, Any] = {
            "rule": _rule(options, learned_labels(context)),
            **_numbers(ours),
            "ci95": list(ours.interval(0.5, context.seed)),
            "per_class": _per_class(ours, context),
            "recordings": len(true),
            "events": int(sum(len(one.labels) for one in true)),
            "found": int(sum(len(one.labels) for one in ours.found)),
            "windows": [round(length) for length in lengths],
            "baselines": {
                **{name: _numbers(one) for name, one in detections.items()},
                **_guesses(context, tiles, true),
            },
            "by": "classify" if learned_labels(context) else "linear",
            "calibration": model.calibration.numbers(),
        }
        return TaskResult(numbers)


def _rule(options: DetectionOptions, learned: bool) -> str:
    by = "the run's own classifier" if learned else "a logistic regression on the training clips"
    of = (
        f"recordings put together from test clips of one subject, up to {options.clips} each, with pauses of "
        f"{options.gap:g} of their median length"
        if options.source is None
        else "whole recordings with their label intervals"
    )
    return (
        f"Events in {of}, found by {by} on sliding windows. mAP: mean over classes of the average precision "
        "of events that overlap a true one of their class by the given intersection over union in time; each "
        "true event counts once. nearest: the same windows by the nearest training clip in raw coordinates; "
        "majority: windows one after another, all of the most frequent training class; chance: of classes "
        "drawn by their frequency."
    )


def _recordings(context: Context, options: DetectionOptions) -> Iterable[Recording]:
    if options.source is None:
        return from_clips(context.store, context.test, options.clips, options.gap, context.seed)
    if options.intervals is not None:
        return from_store(options.source, options.intervals, context.class_names)
    return from_pku(context.store, context.test, options.source)


def _pace(context: Context, recording: Recording) -> float:
    """Frames of a recording for each frame of the training clips, where both say their rate."""
    rate = np.median(context.store.fps[context.train])
    return 1.0 if recording.clip.fps is None or np.isnan(rate) else float(recording.clip.fps / rate)


def _found(recording: Recording, judge: Judge, lengths: list[int], classes: int) -> Spans:
    scores = score_frames(recording.clip, recording.layout, judge, lengths, classes, 1.0)
    spans, labels, sure = spans_of(scores, HEIGHTS)
    keep: list[int] = []
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        keep += own[suppress(spans[own], sure[own], OVERLAP)].tolist()
    return Spans(spans[keep], labels[keep], sure[keep])


def _nearest(context: Context) -> Judge:
    """What the nearest training clip in raw coordinates says of windows, calibrated on folds of subjects."""
    store, rows = context.store, context.train
    aligned = store.channels == 3 and has_landmarks(store.layout, *TORSO)
    persons = int(store.persons.max(initial=1))
    bank, labels = raw_features(store, rows, aligned=aligned, persons=persons), store.labels[rows]
    folds = training_folds(labels, subject_groups(store, rows)).parts
    scores = np.zeros((len(rows), len(context.class_names)))
    for fit, held in folds:
        head = NearestHead(context.class_names, bank[fit], labels[fit], ("",))
        scores[held] = head.scores({"": bank[held]})
    calibration = calibrate(scores, labels, "folds of the training part") if folds else Calibration()
    whole = NearestHead(context.class_names, bank, labels, ("",))

    def judge(clips: Any) -> np.ndarray:
        own = whole.scores({"": raw_features(clips, np.arange(len(clips)), aligned=aligned, persons=persons)})
        said = calibration.probabilities(own)
        if calibration.threshold is not None:
            said[known_scores(own) < calibration.threshold] = 0
        return said

    return judge


def _tiles(recording: Recording, length: int) -> np.ndarray:
    """Windows one after another, (n, 2)."""
    starts = np.arange(0, max(1, len(recording.clip.coordinates) - length + 1), max(1, length))
    return np.stack([starts, starts + length], axis=1)


def _guesses(context: Context, tiles: list[np.ndarray], true: list[Spans]) -> dict[str, Any]:
    """What guessing finds: always the most frequent class, and classes by their frequency."""
    counts = np.bincount(context.store.labels[context.train], minlength=len(context.class_names))
    shares, classes = counts / counts.sum(), len(counts)
    rng = np.random.default_rng(context.seed)
    frequent = [Spans(one, np.full(len(one), counts.argmax()), np.ones(len(one))) for one in tiles]
    draws = []
    for _ in range(_CHANCE):
        drawn = [Spans(one, rng.choice(classes, len(one), p=shares), rng.random(len(one))) for one in tiles]
        draws.append(Detection(drawn, true, classes))
    chance = {f"{t:g}": float(np.mean([one.mean_ap(t) for one in draws])) for t in TIOUS}
    return {"majority": _numbers(Detection(frequent, true, classes)), "chance": {"mAP": chance}}


def _numbers(found: Detection) -> dict[str, Any]:
    return {"mAP": {f"{tiou:g}": found.mean_ap(tiou) for tiou in TIOUS}}


def _per_class(found: Detection, context: Context) -> dict[str, Any]:
    """Average precision at 0.5 of the classes that have a true event."""
    values = found.class_ap(0.5)
    return {
        name: float(value)
        for name, value in zip(context.class_names, values, strict=True)
        if not np.isnan(value)
    }
