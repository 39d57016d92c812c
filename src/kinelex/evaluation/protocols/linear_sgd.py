"""The papers' linear protocol on cached features: one fully connected layer, trained by SGD."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from kinelex.evaluation.frozen import FrozenTask, check_crops
from kinelex.evaluation.probe_data import Prediction, ProbeData
from kinelex.inference.fusion import softmax


@dataclass(frozen=True)
class SGDSchedule:
    """How long and how fast a layer is trained; the rate is divided by 10 at the milestones.

    Args:
        epochs: passes over the training part.
        milestones: epochs.
        learning_rate: in the beginning.
        batch_size: clips per step.
    """

    epochs: int = 80
    milestones: tuple[int, ...] = (50, 70)
    learning_rate: float = 0.1
    batch_size: int = 64


def linear_sgd_probe(
    features: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    schedule: SGDSchedule = SGDSchedule(),
    seed: int = 0,
    device: torch.device | str = "cpu",
    crops: Sequence[np.ndarray] = (),
) -> nn.Linear:
    """The papers' linear protocol: one fully connected layer on frozen features, trained by SGD.

    SGD with momentum 0.9 and no weight decay. The papers draw a new crop (50 to 100 % of its frames) of every
    training clip in every epoch: that is as many ``crops`` as there are epochs, drawn so. Without, the
    features are those of the test-time crop.

    Args:
        features: features of the training part, as they are.
        labels: their classes.
        num_classes: number of classes.
        schedule: how long and how fast.
        seed: of the weights and the order of the clips; the global generator is left alone.
        device: where to train.
        crops: features of crops of the same clips, which the epochs take in turn instead of ``features``.

    Shape:
        - features and each of crops: (n, F); labels: (n,)
        - returns: a layer (N, F) -> (N, classes)

    Source: CMD (Mao et al., ECCV 2022), section 4.2, and its public code.

    >>> labels = np.arange(60) % 3
    >>> layer = linear_sgd_probe(np.eye(3)[labels], labels, num_classes=3)
    >>> layer(torch.eye(3)).argmax(dim=1).tolist()
    [0, 1, 2]
    """
    return linear_sgd_layers([features], labels, num_classes, schedule, seed, device, [crops])[0]


def linear_sgd_layers(
    features: Sequence[np.ndarray],
    labels: np.ndarray,
    num_classes: int,
    schedule: SGDSchedule = SGDSchedule(),
    seed: int = 0,
    device: torch.device | str = "cpu",
    crops: Sequence[Sequence[np.ndarray]] = (),
) -> list[nn.Linear]:
    """What :func:`linear_sgd_probe` does, for several streams at once: one logit, the mean of the streams'.

    Returns:
        A layer per stream; the scores of a clip are the mean of theirs.

    Source: CMD's public code of the three streams' linear evaluation.

    >>> labels = np.arange(60) % 3
    >>> one, two = linear_sgd_layers([np.eye(3)[labels], -np.eye(3)[labels]], labels, num_classes=3)
    >>> (one(torch.eye(3)) + two(-torch.eye(3))).argmax(dim=1).tolist()
    [0, 1, 2]
    """
    generator = torch.Generator().manual_seed(seed)
    views = [x for x in crops if len(x)] or [[x] for x in features]  # of each stream
    y = torch.as_tensor(labels, dtype=torch.int64).to(device)
    layers = [nn.utils.skip_init(nn.Linear, x.shape[1], num_classes) for x in features]
    for layer in layers:
        nn.init.normal_(layer.weight, std=0.01, generator=generator)
        nn.init.zeros_(layer.bias)
        layer.to(device)
    weights = [weight for layer in layers for weight in layer.parameters()]
    optimizer = torch.optim.SGD(weights, lr=schedule.learning_rate, momentum=0.9)
    decay = torch.optim.lr_scheduler.MultiStepLR(optimizer, list(schedule.milestones))
    for epoch in range(schedule.epochs):
        if epoch < 1 or len(views[0]) > 1:
            seen = [torch.as_tensor(x[epoch % len(x)], dtype=torch.float32) for x in views]
            xs = [x.to(device) for x in seen]
        for rows in torch.randperm(len(y), generator=generator).to(device).split(schedule.batch_size):
            logits = torch.stack([layer(x[rows]) for layer, x in zip(layers, xs, strict=True)]).mean(dim=0)
            loss = nn.functional.cross_entropy(logits, y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        decay.step()
    return [layer.cpu().requires_grad_(False) for layer in layers]


@dataclass(frozen=True)
class LinearSGDOptions:
    """Options of ``linear_sgd``.

    Args:
        together: of several streams train one logit, the mean of their layers', as CMD publishes its three
            streams, instead of each stream's own.
        crops: random choices of each training clip's frames, drawn as in the run's training, that the epochs
            learn in turn instead of the one of test time; the papers draw anew in each of the 80.
    """

    together: bool = False
    crops: int = 0

    def __post_init__(self) -> None:
        check_crops(self.crops, SGDSchedule().epochs)


class LinearSGD(FrozenTask):
    """A linear probe by the papers' protocol: one layer on frozen features, trained by SGD."""

    name = "linear_sgd"
    title = "linear probe, papers' SGD"
    rule = (
        "One fully connected layer on frozen features of the training clips, trained by SGD for 80 epochs; "
        "top-1 over the test clips by the last epoch's weights."
    )
    Options = LinearSGDOptions
    crops_are = "instead of the one of test time"

    def judge(self, probe_data: ProbeData, options: Any) -> Prediction:
        """Logits of the trained layer."""
        m = probe_data
        layer = linear_sgd_probe(
            m.train, m.train_labels, m.num_classes, seed=m.seed, device=m.device, crops=m.crops
        )
        return Prediction(_logits(layer, m.test))

    def predictions(
        self, parts: Mapping[str, ProbeData], options: LinearSGDOptions
    ) -> tuple[dict[str, Prediction], Prediction | None]:
        """What each stream's layer says, and their mean where they are trained together."""
        if not options.together or len(parts) == 1:
            return super().predictions(parts, options)
        each = list(parts.values())
        first = each[0]
        some = [m.train for m in each], first.train_labels, first.num_classes
        crops = [m.crops for m in each]
        layers = linear_sgd_layers(*some, seed=first.seed, device=first.device, crops=crops)
        logits = {s: _logits(layer, m.test) for (s, m), layer in zip(parts.items(), layers, strict=True)}
        how = {"fused": "one logit, the mean of the streams', trained together"}
        whole = Prediction(softmax(np.mean(list(logits.values()), axis=0)), how)
        return {s: Prediction(scores) for s, scores in logits.items()}, whole


def _logits(layer: torch.nn.Linear, features: np.ndarray) -> np.ndarray:
    return np.asarray(layer(torch.as_tensor(features, dtype=torch.float32)))
