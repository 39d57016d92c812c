"""Numbers of trained encoders: protocols, baselines, statistics, comparisons, studies."""

from kinelex.data.labelled_clips import copies
from kinelex.evaluation.baselines import Baseline, chance, prompt_probe, raw_knn
from kinelex.evaluation.comparison.compare import compare
from kinelex.evaluation.context import Context, Task, TaskResult
from kinelex.evaluation.ensemble import ensemble
from kinelex.evaluation.evaluate import evaluate
from kinelex.evaluation.frozen import FrozenTask
from kinelex.evaluation.metrics import classification_metrics, confusion_matrix, top_k
from kinelex.evaluation.protocols.cross_dataset import evaluate_on
from kinelex.evaluation.protocols.linear_sgd import linear_sgd_probe
from kinelex.evaluation.protocols.registry import TASKS, Prediction, ProbeData, register, run_task
from kinelex.evaluation.scores import ScoreFile, load_scores
from kinelex.evaluation.statistics import bootstrap_interval, mcnemar, mean_sd
from kinelex.inference.linear_probe import LinearProbe, linear_probe
from kinelex.inference.neighbours import Neighbours

__all__ = [
    "TASKS",
    "Baseline",
    "Context",
    "FrozenTask",
    "LinearProbe",
    "ProbeData",
    "Neighbours",
    "Prediction",
    "ScoreFile",
    "Task",
    "TaskResult",
    "bootstrap_interval",
    "chance",
    "classification_metrics",
    "compare",
    "confusion_matrix",
    "copies",
    "ensemble",
    "evaluate",
    "evaluate_on",
    "linear_probe",
    "linear_sgd_probe",
    "load_scores",
    "mcnemar",
    "mean_sd",
    "prompt_probe",
    "raw_knn",
    "register",
    "run_task",
    "top_k",
]
