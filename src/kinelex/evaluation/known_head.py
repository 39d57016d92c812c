"""What tells classes by a run's features, for tasks that judge it as ``kinelex predict`` would answer."""

from __future__ import annotations

import numpy as np

from kinelex.evaluation.context import Context
from kinelex.inference.known_clips import TrainingClips
from kinelex.inference.load_model import load_model
from kinelex.inference.model import Model
from kinelex.inference.own_head import fitted_probe


def learned_labels(context: Context) -> bool:
    """Whether the run has a classifier of its own."""
    return all(encoder.classifier is not None for encoder in context.encoders.values())


def known_model(context: Context, train: np.ndarray) -> Model:
    """The run's own classifier, else a logistic regression on training clips; calibrated.

    Args:
        context: the run and its clips.
        train: the training clips of the regression.

    Shape:
        - train: (n,)
    """
    if learned_labels(context):
        own = load_model(context.run.path, console=context.console, device=context.device)
        told = own.head, own.calibration, own.known_clips
    else:
        clips = TrainingClips(context.store, context.protocol, train, train[:0])
        told = fitted_probe(clips, train, {s: context.features(s, train) for s in context.encoders})
    head, calibration, known = told
    return Model(
        context.run.path, context.encoders, head, "", calibration, device=context.device, known_clips=known
    )
