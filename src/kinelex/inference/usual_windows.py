"""How long the windows are that a model looks at: as long as the clips that it knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kinelex.errors import InputError
from kinelex.inference.cache import Cache, digest, run_digest
from kinelex.inference.known_clips import training_clips
from kinelex.inference.repetitions import USUAL_FPS

if TYPE_CHECKING:
    from kinelex.inference.model import Model

DEFAULT = (1.0, 2.0, 4.0)  # seconds, where no clip tells
_NAME = "windows"


def quantile_lengths(lengths: np.ndarray, count: int = 3) -> np.ndarray:
    """Lengths at even quantiles: of three, those that a quarter, half and three quarters are shorter than.

    Shape:
        - lengths: (n,); returns: (count,)

    >>> quantile_lengths(np.arange(1, 102)).tolist()
    [26.0, 51.0, 76.0]
    """
    return np.quantile(lengths, np.linspace(0, 1, count + 2)[1:-1])


def usual_seconds(lengths: np.ndarray, fps: np.ndarray) -> tuple[float, ...]:
    """Lengths of windows for a model that knows clips of these lengths.

    Shape:
        - lengths: (n,) frames; fps: (n,), NaN (taken for 30) where a clip does not say it

    >>> usual_seconds(np.array([30, 30, 60]), np.array([30.0, np.nan, 30.0]))
    (1.0, 1.5)
    """
    seconds = quantile_lengths(lengths / np.where(np.isnan(fps), USUAL_FPS, fps))
    return tuple(dict.fromkeys(np.round(seconds, 3).tolist()))


def usual_windows(model: Model) -> tuple[Sequence[float], str]:
    """Seconds, and where they are from, in words: of the examples, else of the run's training clips; kept.

    Args:
        model: the model.
    """
    from kinelex.training.run_directory import RunDirectory

    if model.examples is not None:
        return model.examples["seconds"], "the examples"
    cache, key = Cache(model.run / "evaluation" / "cache"), digest(_NAME, run_digest(model.run))
    kept = cache.read_json(_NAME, key)
    if kept is not None:
        return kept[0], "the run's clips"
    try:
        clips = training_clips(RunDirectory(model.run).config, model.data)
    except InputError:
        return DEFAULT, "no clip: the store that the run was trained on is not there"
    found = usual_seconds(clips.store.lengths[clips.learned], clips.store.fps[clips.learned])
    try:
        cache.write_json(_NAME, key, found)
    except InputError:
        return found, "the run's clips"  # a run that cannot be written to: computed the next time again
    return found, "the run's clips"
