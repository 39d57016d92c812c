"""Several runs that tell the same classes, as one."""

from __future__ import annotations

from collections.abc import Sequence as Rows
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.data import SkeletonStore
from kinelex.datasets.single import ReadOptions
from kinelex.errors import InputError
from kinelex.facts import Facts
from kinelex.inference.model import Model
from kinelex.runtime.predictions import ClipPrediction, Predictions
from kinelex.skeleton import SkeletonLayout


class Ensemble(Facts):
    """The mean of what several models say, each by its own layout, streams and calibration.

    A clip is known where at least half of the models that can tell it say so: ``score`` is their share.

    Args:
        models: the models.

    Raises:
        InputError: models of other classes.
    """

    def __init__(self, models: Rows[Model]) -> None:
        self.models = tuple(models)
        first = self.models[0]
        for other in self.models[1:]:
            if other.classes != first.classes:
                raise InputError(
                    f"{first.run} tells {_listed(first.classes)}, {other.run} {_listed(other.classes)}: "
                    "expects runs of the same classes in the same order, whose probabilities have a mean"
                )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.models[0].classes

    @property
    def by(self) -> str:
        """What tells the classes, in words."""
        return f"the mean of {len(self.models)} runs: {'; '.join(dict.fromkeys(m.by for m in self.models))}"

    def facts(self) -> dict[str, Any]:
        """Runs, classes, and what tells them."""
        runs = ", ".join(str(model.run) for model in self.models)
        return {"runs": runs, "classes": len(self.classes), "by": self.by}

    def predict(
        self,
        frames: np.ndarray | Rows[np.ndarray] | SkeletonStore,
        layout: str | SkeletonLayout | None = None,
        fps: float | Rows[float] | None = None,
    ) -> Any:
        """Say of which class clips are; arguments as of :meth:`Model.predict`, the layout by default that of
        the first run.

        Raises:
            InputError: as :meth:`Model.predict`, for any of the models.
        """
        said = [model.predict(frames, layout or self.models[0].layout, fps) for model in self.models]
        if isinstance(said[0], ClipPrediction):
            return _mean(said)
        return _means(said)

    def predict_files(
        self, sources: str | Path | Rows[str | Path], read: ReadOptions | None = None
    ) -> Predictions:
        """Say of which class the clips of files, folders and stores are.

        Raises:
            InputError: as :meth:`Model.predict_files`, for any of the models.
        """
        groups = self.models[0].read_files(sources, read)
        return _means([model.predict_clips(groups) for model in self.models])


def _means(said: Rows[Predictions]) -> Predictions:
    return Predictions(map(_mean, zip(*said, strict=True)))


def _mean(said: Rows[ClipPrediction]) -> ClipPrediction:
    """The mean of what models say of one clip."""
    votes = [one.known for one in said if one.known is not None]
    return ClipPrediction(
        said[0].id,
        said[0].classes,
        np.mean([one.probabilities for one in said], axis=0),
        float(np.mean(votes or 0)),
        0.5 if votes else None,
        tuple(map(_mean, zip(*(one.persons for one in said), strict=True))),
    )


def _listed(classes: tuple[str, ...]) -> str:
    return f"{len(classes)} classes ({', '.join(classes[:3])}{', …' if len(classes) > 3 else ''})"
