"""Whether an exported file says what ``predict`` says: compared on clips of several lengths."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kinelex.data.named_clips import NamedClips
from kinelex.data.sequence import Sequence
from kinelex.errors import InputError
from kinelex.inference.fusion import joined
from kinelex.inference.known_clips import KnownClips
from kinelex.inference.model import Model
from kinelex.skeleton import SkeletonLayout

LENGTHS = (1, 2, 17, 64, 150, 301)  # frames
TOLERANCE = 1e-4  # of probabilities, and of features as a share of the largest
Arrays = Mapping[str, np.ndarray]


def drawn_clips(layout: SkeletonLayout, channels: int, persons: int) -> NamedClips:
    """Bodies that move at random, one clip of each length: joints are missing, persons come late or leave.

    >>> from kinelex.skeleton import get_layout
    >>> drawn_clips(get_layout("sbu15"), 3, persons=2).persons.tolist()
    [1, 3, 1, 3, 1, 3]
    """
    rng = np.random.default_rng(0)
    clips = []
    for number, frames in enumerate(LENGTHS):
        m, v = (persons + 1 if number % 2 else 1), layout.num_joints
        time = np.arange(frames)[:, None, None, None] / 30.0
        body = rng.normal(0, 0.4, (m, v, channels)) + rng.normal(0, 1.0, (m, 1, channels))
        sway = np.sin(rng.uniform(1, 8, (m, v, channels)) * time + rng.uniform(0, 6, (m, v, channels)))
        x = body + 0.1 * sway  # (T, M, V, C)
        if number % 3:
            x[rng.random((frames, m, v)) < 0.1] = 0
        if m > 1 and frames > 9:
            x[: frames // 3, 0] = 0
            x[frames // 2 :, 1] = 0
        clips.append(Sequence(f"{frames} frames", x.astype(np.float32), fps=25.0 + number))
    return NamedClips(clips, layout)


def said_by(
    model: Model, clips: NamedClips, classes: bool, known: KnownClips | None = None
) -> dict[str, np.ndarray]:
    """What the run itself says of clips: what an exported file is compared with."""
    features = model.features(clips, np.arange(len(clips)))
    said = {"features": joined(list(features.values()))}
    if classes:
        said["scores"] = model.head.scores(features)
        said["probabilities"] = model.calibration.probabilities(said["scores"])
    if known is not None:
        said["neighbour"] = known.cosines(said["features"])
    return said


def differences(
    answer: Callable[[Arrays], Arrays], said: Arrays, clips: NamedClips, resamples: bool
) -> list[dict[str, Any]]:
    """The largest difference of each output on each clip, given alone and twice in a batch.

    Args:
        answer: from inputs by name to outputs by name.
        said: what the run says of the clips.
        clips: the clips.
        resamples: whether the graph asks for frame rates.
    """
    rows = []
    for number in range(len(clips)):
        x = clips.sequence(number)
        row: dict[str, Any] = {"frames": x.shape[0], "persons": x.shape[1]}
        for count in (1, 2):
            given = {"frames": np.stack([x] * count), "presence": np.stack([x.any(axis=3)] * count)}
            if resamples:
                given["fps"] = np.full(count, clips.fps[number])
            found = answer(given)
            for name, wanted in said.items():
                apart = np.abs(found[name] - wanted[number]).max()
                scale = 1.0 if name in ("probabilities", "neighbour") else np.abs(said[name]).max()
                row[name] = max(row.get(name, 0.0), float(apart / scale))
        rows.append(row)
    return rows


def largest(rows: list[dict[str, Any]]) -> dict[str, float]:
    """The largest difference of each output."""
    return {name: max(row[name] for row in rows) for name in rows[0] if name not in ("frames", "persons")}


def check(rows: list[dict[str, Any]]) -> None:
    """Raise an InputError where an output differs by more than :data:`TOLERANCE`."""
    for name, apart in largest(rows).items():
        if not apart <= TOLERANCE:  # NaN is no agreement
            worst = max(rows, key=lambda row: row[name])
            raise InputError(
                f"the exported graph does not say what the run says: {name} differ by {apart:.2g} on a clip "
                f"of {worst['frames']} frames and {worst['persons']} persons (at most {TOLERANCE:g} is "
                "accepted); nothing was written"
            )
