"""What C2VL logs of a step, and what looks wrong in a training by the logged means of its epochs."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from kinelex.losses import alignment, off_diagonal_histogram, pair_diagnostics, pair_mask, uniformity

HISTOGRAM_BINS = 80
EPOCHS = 5  # before, nothing is said
History = list[dict[str, float]]
Pair = tuple[str, str]


@torch.no_grad()
def c2vl_logs(
    embeddings: dict[str, Tensor], targets: dict[Pair, Tensor], masks: dict[str, Tensor], temperature: float
) -> dict[str, Tensor]:
    """What shows how C2VL's embeddings spread, and how sure targets and predictions are.

    Shape:
        - embeddings: by modality (N, D); targets: by ordered pair of modalities (N, N)
        - masks: by modality, which clips have it, (N,) bool
    """
    logs: dict[str, Tensor] = {}
    for (a, b), target in targets.items():
        pair, mask = (embeddings[a], embeddings[b]), pair_mask(masks, a, b)
        for name, value in pair_diagnostics(*pair, target, temperature, mask).items():
            logs[name] = logs.get(name, torch.zeros_like(value)) + value / len(targets)
        if a == "skeleton" or (a, b) == ("vision", "language"):
            logs[f"alignment/{a}_{b}"] = alignment(*pair, mask)
            logs[f"histogram/{a}_{b}"] = off_diagonal_histogram(*pair, HISTOGRAM_BINS, mask)
    return logs | {f"uniformity/{m}": uniformity(e, masks.get(m)) for m, e in embeddings.items()}


def c2vl_warnings(history: History, alpha: float) -> list[str]:
    """C2VL's failure signatures: even similarities, and a teacher that does not get more confident."""
    if len(history) < EPOCHS:
        return []
    first, last, warnings = history[0], history[-1], []
    if last["prediction_entropy"] > 0.97 * last["uniform_entropy"]:
        warnings.append(
            "similarities are uniform: the predictions are no better than even over the batch after "
            f"{len(history)} epochs (change the learning rate or the temperature, look at the prompts)"
        )
    if alpha > 0 and last["prediction_entropy"] > 0.99 * first["prediction_entropy"]:
        warnings.append(
            "the teacher does not get more confident: the entropy of the predictions has not fallen "
            "since the first epoch, soft targets from it say little (lower alpha)"
        )
    return warnings


def queue_warnings(history: History, streams: Iterable[str], queue: int, top_k: int | None) -> list[str]:
    """CMD: streams that find no key better than by chance, or whose targets (of ``top_k``) are even."""
    if len(history) < EPOCHS:
        return []
    last, warnings = history[-1], []
    for stream in streams:
        if last[f"loss/{stream}"] > 0.97 * math.log(1 + queue):
            warnings.append(
                f"the {stream} stream's similarities are uniform: after {len(history)} epochs its "
                "queries find their keys no better than by chance (change the learning rate, or look at "
                "the augmentations)"
            )
        if top_k and last.get(f"teacher_entropy/{stream}", 0.0) > 0.97 * math.log(top_k) > 0:
            warnings.append(
                f"the {stream} stream teaches nothing: its targets are even over the {top_k} "
                "neighbours (lower teacher_temperature or top_k)"
            )
    return warnings


def mining_warnings(history: History, stream: str) -> list[str]:
    """AimCLR: mined neighbours that have taken the place of the clips' own keys."""
    found = [row[f"accuracy/{stream}"] for row in history]
    if len(found) < EPOCHS or found[-1] > 0.5 * max(found):
        return []
    return [
        f"mined neighbours have taken over: queries find their own keys in {found[-1]:.1%} of the clips, in "
        f"{max(found):.1%} at best before (method.mine_from=1 never mines; or raise method.momentum)"
    ]


def classifier_warnings(history: History, streams: Iterable[str], classes: int) -> list[str]:
    """Streams whose loss is that of guessing one of the classes."""
    return [
        f"the {stream} stream learns nothing: after {len(history)} epochs its loss is that of guessing "
        "(change the learning rate, or look at the input section of the recipe)"
        for stream in streams
        if len(history) >= EPOCHS and history[-1][f"loss/{stream}"] > 0.97 * math.log(max(2, classes))
    ]


def prototype_warnings(history: History) -> list[str]:
    """SOfA: clips that all go to a few prototypes, or to all alike."""
    if len(history) < EPOCHS:
        return []
    last, warnings = history[-1], []
    if last["prototypes_used"] < 0.05:
        warnings.append(
            f"collapse: the teacher sends all clips to {last['prototypes_used']:.1%} of the prototypes that "
            "they could have (lower optimizer.lr, or raise method.koleo_weight)"
        )
    if last["prototype_entropy"] > 0.97 * last["uniform_entropy"]:
        warnings.append(
            f"prototypes are uniform: after {len(history)} epochs the student tells clips apart hardly "
            "better than by guessing (more steps: epochs, repeat, a smaller batch; fewer method.prototypes)"
        )
    return warnings


def collapse_warnings(history: History, domains: Iterable[str]) -> list[str]:
    """USDRL: domains in which all embeddings are nearly alike."""
    return [
        f"the embeddings of {domain} have collapsed: after {len(history)} epochs they hardly differ between "
        "clips (raise method.variance, or lower the learning rate)"
        for domain in domains
        if len(history) >= EPOCHS and history[-1][f"spread/{domain}"] < 0.1
    ]


def motion_warnings(history: History) -> list[str]:
    """MAMP: motion that is predicted no better than by its mean."""
    if len(history) < EPOCHS or history[-1]["loss/motion"] < 0.97:
        return []
    return [
        f"motion is not predicted: after {len(history)} epochs the loss is that of guessing (more steps, or "
        "change optimizer.lr; clips that hardly move have nothing to predict)"
    ]
