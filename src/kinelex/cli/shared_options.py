"""Options that several verbs take: how raw clips are read, and what tells the classes of a run.

A verb names them in its attribute ``shares``; what they give comes in as keyword arguments, of which
:func:`read_options` and :func:`model_options` make one object each.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

_V = TypeVar("_V", bound=Callable[..., Any])


def shares(*functions: Callable[..., Any]) -> Callable[[_V], _V]:
    """Decorator of a verb that takes the options of these functions, too."""

    def mark(verb: _V) -> _V:
        verb.shares = functions  # type: ignore[attr-defined]
        return verb

    return mark


def read_options(
    *,
    layout: str | None = None,
    fps: float | None = None,
    axes: str | None = None,
    units: str | None = None,
    channels: str | None = None,
    reader: str | None = None,
    **_: Any,
) -> Any:
    """How raw clips are read, as :class:`kinelex.datasets.single.ReadOptions`.

    Args:
        layout: the layout of raw clips: a built-in name or a YAML file; by default what the files tell.
        fps: frames per second of raw clips whose files do not say it.
        axes: order of the axes of arrays where it is another, for example CTVM.
        units: unit of raw clips: centimetres, millimetres, inches and feet become metres.
        channels: what the numbers of a joint are: xy, xyz, xyc, xyzc (c is a confidence).
        reader: the data set of prepare whose raw files these are, for example utd_mhad.
    """
    from kinelex.datasets.single import ReadOptions

    return ReadOptions(layout, fps, axes, units, channels, reader)


def model_options(
    *,
    examples: Path | None = None,
    head: str = "knn",
    classes: str | None = None,
    data: Path | None = None,
    prompts: Path | None = None,
    holdout: Path | None = None,
    device: str = "cpu",
    **read: Any,
) -> Any:
    """What tells the classes of a run, as :class:`kinelex.inference.load_model.ModelOptions`.

    Args:
        examples: a folder CLASS/clip.npy, or a store with labels: tell these classes.
        head: how classes are told by examples: knn (the nearest), linear (a logistic regression).
        classes: tell classes given as words, for example "waving, kicking"; for runs of C2VL with texts.
        data: the store that the run was trained on, where it is at another place now.
        prompts: the prompts of the run, for --classes, where they are at another place now.
        holdout: a run of the same recipe on a fold of the training part, for example xsub:fold1of5:
            temperature and threshold are chosen on the clips that it did not learn.
        device: where the encoders run: cpu, cuda.
    """
    from kinelex.inference.load_model import ModelOptions

    return ModelOptions(examples, head, classes, data, prompts, holdout, device, read_options(**read))
