"""The tasks of ``kinelex evaluate`` by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kinelex.errors import InputError
from kinelex.evaluation.probe_data import Prediction, ProbeData
from kinelex.options import read_options
from kinelex.registry import Registry

if TYPE_CHECKING:
    from kinelex.evaluation.context import Task

__all__ = ["TASKS", "Prediction", "ProbeData", "find_task", "register", "run_task"]

# Named by module, so that nothing is imported before it is asked for. In the order of the tables.
_BUILT_IN = {
    "classify": "kinelex.evaluation.protocols.classify:Classify",
    "knn": "kinelex.evaluation.protocols.knn:Knn",
    "linear": "kinelex.evaluation.protocols.linear:Linear",
    "linear_sgd": "kinelex.evaluation.protocols.linear_sgd:LinearSGD",
    "retrieval": "kinelex.evaluation.protocols.retrieval:RetrievalTask",
    "zero_shot": "kinelex.evaluation.protocols.zero_shot:ZeroShot",
    "one_shot": "kinelex.evaluation.protocols.one_shot:OneShot",
    "open_set": "kinelex.evaluation.protocols.open_set:OpenSet",
    "detection": "kinelex.evaluation.protocols.detection:DetectionTask",
    "calibration": "kinelex.evaluation.protocols.calibration:Calibration",
    "robustness": "kinelex.evaluation.protocols.robustness:Robustness",
    "finetune": "kinelex.evaluation.protocols.finetune:Finetune",
    "semi": "kinelex.evaluation.protocols.semi:Semi",
    "transfer": "kinelex.evaluation.protocols.transfer:Transfer",
}
TASKS = Registry("task", _BUILT_IN)
register = TASKS.register  # decorator of a task's class, known by its attribute ``name``


def find_task(name: str) -> Task:
    """A task by name.

    >>> find_task("knn").title
    'nearest neighbour on features'
    """
    return TASKS.find(name)()


def run_task(name: str, probe_data: ProbeData, **options: Any) -> Prediction:
    """Run one task on features of one stream.

    Args:
        name: a task on frozen features: ``classify``, ``knn``, ``linear`` or ``linear_sgd``.
        probe_data: the features.
        options: the task's options, values or their text.

    Raises:
        InputError: no such task or option, or a task that needs more than features.

    >>> import numpy as np
    >>> features = np.eye(4, dtype=np.float32)
    >>> prediction = run_task("knn", ProbeData(features, np.array([0, 0, 1, 1]), features, num_classes=2))
    >>> prediction.scores.argmax(axis=1).tolist()
    [0, 0, 1, 1]
    """
    task = find_task(name)
    if not hasattr(task, "judge"):
        raise InputError(f"{name} needs a run, not features alone: use `kinelex evaluate RUN --tasks {name}`")
    read = read_options(task.Options, options, f"the task {name}", name)
    return task.judge(probe_data, task.Options(**read))
