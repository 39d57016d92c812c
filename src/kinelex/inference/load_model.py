"""From a run directory to a model that answers: its own classifier, a probe, labelled examples, or words."""

from __future__ import annotations

from collections.abc import Sequence as Rows
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

from rich.console import Console

from kinelex.datasets.single import ReadOptions
from kinelex.errors import InputError, unknown_name
from kinelex.inference.ensemble import Ensemble
from kinelex.inference.example_head import example_model
from kinelex.inference.features import check_device
from kinelex.inference.heads import LinearHead
from kinelex.inference.model import Model
from kinelex.inference.own_head import classifier_calibration, probe_head
from kinelex.inference.text_head import text_head
from kinelex.training.encoder_files import load_encoders
from kinelex.training.run_directory import RunDirectory

HEADS = ("knn", "linear")


@dataclass(frozen=True)
class ModelOptions:
    """What tells the classes, and where it is.

    Args:
        examples: a folder CLASS/clip.npy, or a store with labels: its classes are told instead of the run's.
        head: how they are told by the examples: knn, the nearest example, or linear, a logistic regression.
        classes: words for the classes, of a run that learned a space of texts (C2VL).
        data: the store that the run was trained on, where it is at another place now.
        prompts: the prompts that the run was trained with, where they are at another place now.
        holdout: a run of the same recipe that was trained on a fold of the same training part, for example
            xsub:fold1of5: temperature and threshold are chosen on the clips that it did not learn.
        device: where the encoders run: cpu, cuda.
        read: how raw examples are read.
    """

    examples: str | Path | None = None
    head: str = "knn"
    classes: str | Rows[str] | None = None
    data: str | Path | None = None
    prompts: str | Path | None = None
    holdout: str | Path | None = None
    device: str = "cpu"
    read: ReadOptions = field(default_factory=ReadOptions)

    def __post_init__(self) -> None:
        if self.head not in HEADS:
            raise unknown_name("head", self.head, HEADS)
        if self.examples is not None and self.classes is not None:
            raise InputError("examples and classes both say which classes there are: pass one of them")
        if self.prompts is not None and self.classes is None:
            raise InputError("prompts are for classes given as words: pass classes too, or leave it out")
        told = self.examples if self.examples is not None else self.classes
        for name in ("data", "holdout"):
            if told is not None and getattr(self, name) is not None:
                raise InputError(f"{name} is for the run's own classes: leave it out here")

    @property
    def words(self) -> tuple[str, ...]:
        """The classes as words.

        >>> ModelOptions(classes="waving, sitting down").words
        ('waving', 'sitting down')
        """
        given = self.classes.split(",") if isinstance(self.classes, str) else self.classes or ()
        return tuple(" ".join(word.split()) for word in given)


@overload
def load_model(
    run: str | Path, options: ModelOptions | None = None, console: Console | None = None, **changes: Any
) -> Model: ...


@overload
def load_model(
    run: list[str] | list[Path] | tuple[str | Path, ...],
    options: ModelOptions | None = None,
    console: Console | None = None,
    **changes: Any,
) -> Ensemble: ...


def load_model(
    run: str | Path | list[str] | list[Path] | tuple[str | Path, ...],
    options: ModelOptions | None = None,
    console: Console | None = None,
    **changes: Any,
) -> Model | Ensemble:
    """A run directory as a model that predicts.

    A run that learned from labels tells classes by its own classifier. One that did not tells the classes of
    its training store by a logistic regression on its features, or those of a few labelled ``examples``, or
    ``classes`` given as words. Temperature and threshold are chosen once, on clips of the training part, and
    kept in the run directory with the regression.

    Args:
        run: the run directory; a zip file of one; ``hf://user/name``; ``https://…/run.zip#sha256=…``; or a
            list of runs, whose calibrated probabilities are averaged.
        options: what tells the classes.
        console: where messages go; stderr by default.
        **changes: fields of ``options``.

    Raises:
        InputError: no finished run, nothing that tells classes, examples of one class, words for a run
            without a space of texts, runs of several classes, or no such device.

    >>> load_model("no_run")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    kinelex.errors.InputError: no_run is no run directory ...
    """
    asked = _asked(options, changes)
    if isinstance(run, list | tuple):
        return _ensemble(run, asked, console)
    directory = RunDirectory(run)
    run = directory.path
    model = bare_model(run, asked, console)
    encoders, config, console = model.encoders, directory.config, model.console
    data = model.data = None if asked.data is None else Path(asked.data)
    if data is not None and not data.is_file():
        raise InputError(f"data: there is no store {data}, expects the one that the run was trained on")
    if asked.examples is not None:
        return example_model(model, Path(asked.examples), asked.head, asked.read)
    if asked.classes is not None:
        model.head, model.calibration = text_head(directory, encoders, asked.words, asked.prompts, console)
        model.by = "words, by the space of texts that the run learned"
        return model
    pairs = {s: layer for s, e in encoders.items() if (layer := e.last_layer()) is not None}
    if len(pairs) == len(encoders):
        names = next(iter(encoders.values())).class_names
        model.head = LinearHead(
            names, {s: w for s, (w, _) in pairs.items()}, {s: b for s, (_, b) in pairs.items()}
        )
        model.by = "the run's own classifier"
        other = None if asked.holdout is None else load_model(asked.holdout, console=console, data=asked.data)
        model.calibration, model.known_clips = classifier_calibration(model, config, data, other)
        return model
    if asked.holdout is not None:
        raise InputError(f"holdout is for runs that learned from labels, and {run} did not: leave it out")
    model.head, model.calibration, model.known_clips = probe_head(model, config, data)
    model.by = "a logistic regression on the features of the training part"
    return model


def _ensemble(runs: Rows[str | Path], asked: ModelOptions, console: Console | None) -> Ensemble:
    if len(runs) < 2:
        raise InputError(f"expects a run, or a list of two runs or more, got a list of {len(runs)}")
    if asked.holdout is not None:
        raise InputError("holdout is for one run: leave it out of an ensemble")
    return Ensemble([load_model(run, asked, console) for run in runs])


def bare_model(
    run: str | Path, options: ModelOptions | None = None, console: Console | None = None, **changes: Any
) -> Model:
    """A run that gives features and tells no classes yet; arguments as of :func:`load_model`.

    Raises:
        InputError: no finished run, or no such device.
    """
    asked, directory = _asked(options, changes), RunDirectory(run)
    check_device(asked.device)
    console = console or Console(stderr=True)
    encoders, config = load_encoders(directory.path), directory.config
    return Model(
        directory.path, encoders, LinearHead((), {}, {}), "", None, config["dataset"], asked.device, console
    )


def _asked(options: ModelOptions | None, changes: dict[str, Any]) -> ModelOptions:
    try:
        return replace(options or ModelOptions(), **changes)
    except TypeError:
        unknown = next(name for name in changes if name not in ModelOptions.__dataclass_fields__)
        raise unknown_name("option of load_model", unknown, ModelOptions.__dataclass_fields__) from None
