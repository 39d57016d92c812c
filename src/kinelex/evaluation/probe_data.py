"""What a task on frozen features gets, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from kinelex.inference.fusion import joined

if TYPE_CHECKING:
    from kinelex.inference.neighbours import Neighbours


@dataclass(frozen=True)
class Crops(Sequence[np.ndarray]):
    """Features of many crops, read when they are asked for: together they may not fit into memory."""

    total: int
    read: Callable[[int], np.ndarray]

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, number: Any) -> Any:
        return self.read(range(self.total)[number])


@dataclass
class ProbeData:
    """Cached features of a training and a test part, with what the tasks need to know about the clips.

    Args:
        train: features of the training part.
        train_labels: their classes.
        test: features of the test part. Its labels are not here: no task may see them.
        num_classes: number of classes.
        groups: the subject of each training clip, or None where the set names none.
        device: where to compute.
        seed: of whatever is random.
        classifier: weight and bias of the run's own classifier, where it learned from labels.
        crops: features of other choices of the training clips' frames, one after another, where a task asks
            for them.

    Shape:
        - classifier: (classes, F) and (classes,); each of crops: (n_train, F)
        - train: (n_train, F); train_labels, groups: (n_train,); test: (n_test, F)
    """

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    num_classes: int
    groups: np.ndarray | None = None
    device: torch.device | str = "cpu"
    seed: int = 0
    classifier: tuple[np.ndarray, np.ndarray] | None = None
    crops: Sequence[np.ndarray] = ()


def side_by_side(parts: Mapping[str, ProbeData]) -> ProbeData:
    """Several streams as one: their features side by side, each of length 1."""
    each = list(parts.values())
    train, test = joined([m.train for m in each]), joined([m.test for m in each])
    crops = Crops(len(each[0].crops), lambda number: joined([m.crops[number] for m in each]))
    return replace(each[0], train=train, test=test, classifier=None, crops=crops)


@dataclass
class Prediction:
    """What a task found: scores of the test part, and what it chose or was set to.

    Args:
        scores: of each class, higher is better.
        details: settings and choices, ready for JSON.
        neighbours: of each test clip, where the task has them.

    Shape:
        - scores: (n_test, classes)
    """

    scores: np.ndarray
    details: dict[str, Any] = field(default_factory=dict)
    neighbours: Neighbours | None = None
