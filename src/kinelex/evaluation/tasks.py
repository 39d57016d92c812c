"""The tasks that judge a run: its own classifier, and on frozen features neighbours and linear probes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from kinelex.errors import InputError, unknown_name
from kinelex.evaluation.knn import Neighbours, knn
from kinelex.evaluation.linear import linear_probe, linear_sgd_probe


@dataclass
class Material:
    """Cached features of a training and a test part, with what the tasks need to know about the clips.

    Args:
        train: features of the training part.
        train_labels: their classes.
        test: features of the test part. Its labels are not here: no task may see them.
        num_classes: number of classes.
        groups: the subject of each training clip, or None where the set names none.
        k, metric: of the nearest neighbours.
        device: where to compute.
        seed: of whatever is random.
        classifier: weight and bias of the run's own classifier, where it learned from labels.

    Shape:
        - classifier: (classes, F) and (classes,)
        - train: (n_train, F); train_labels, groups: (n_train,); test: (n_test, F)
    """

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    num_classes: int
    groups: np.ndarray | None = None
    k: int = 1
    metric: str = "cosine"
    device: torch.device | str = "cpu"
    seed: int = 0
    classifier: tuple[np.ndarray, np.ndarray] | None = None


@dataclass
class Outcome:
    """What a task found: scores of the test part, and what it chose or was set to.

    Args:
        scores: (n_test, classes).
        details: settings and choices, ready for JSON.
        neighbours: of each test clip, where the task has them.
    """

    scores: np.ndarray
    details: dict[str, Any] = field(default_factory=dict)
    neighbours: Neighbours | None = None


def _classify(material: Material) -> Outcome:
    if material.classifier is None:
        raise InputError("classify needs a run that learned from labels; probe this one: --tasks knn,linear")
    weight, bias = material.classifier
    return Outcome(material.test @ weight.T + bias)


def _knn(material: Material) -> Outcome:
    found = knn(
        material.train,
        material.train_labels,
        material.test,
        material.num_classes,
        material.k,
        material.metric,
        material.device,
    )
    return Outcome(found.scores, {"k": material.k, "metric": material.metric}, found)


def _linear(material: Material) -> Outcome:
    probe = linear_probe(material.train, material.train_labels, material.num_classes, material.groups)
    details = {
        "regularisation": probe.regularisation,
        "fold_accuracy": {f"{strength:g}": rate for strength, rate in probe.fold_accuracy.items()},
        "folds_by": "class" if material.groups is None else "subject",
    }
    return Outcome(probe.scores(material.test), details)


def _linear_sgd(material: Material) -> Outcome:
    layer = linear_sgd_probe(
        material.train,
        material.train_labels,
        material.num_classes,
        seed=material.seed,
        device=material.device,
    )
    return Outcome(layer(torch.as_tensor(material.test, dtype=torch.float32)).numpy())


TASKS: dict[str, Callable[[Material], Outcome]] = {
    "classify": _classify,
    "knn": _knn,
    "linear": _linear,
    "linear_sgd": _linear_sgd,
}


def run_task(name: str, material: Material) -> Outcome:
    """Run one task by name.

    Raises:
        InputError: no such task.

    >>> features = np.eye(4, dtype=np.float32)
    >>> outcome = run_task("knn", Material(features, np.array([0, 0, 1, 1]), features, num_classes=2))
    >>> outcome.scores.argmax(axis=1).tolist()
    [0, 0, 1, 1]
    """
    check_tasks((name,))
    return TASKS[name](material)


def check_tasks(names: tuple[str, ...]) -> None:
    """Raise an InputError for the first name that is no task."""
    for name in names:
        if name not in TASKS:
            raise unknown_name("task", name, TASKS)
