"""Supervised: an encoder per stream and a linear classifier, learned from labels.

The strong baseline that every other method is compared with. With ST-GCN, CTR-GCN or HD-GCN as encoder and
their recipes it is those publications' training. Several streams learn in one pass over the data; nothing
but the clips and their augmentation is shared between them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from kinelex.data.batch import Batch
from kinelex.encoders import Encoder
from kinelex.errors import InputError
from kinelex.losses import class_weights as weights_of
from kinelex.losses import classification_loss, mean_over_processes, mixup
from kinelex.methods.base import Method, TrainingPart
from kinelex.methods.classifier import Classifiers


class Supervised(Method):
    """The method: classifiers and cross-entropy.

    Args:
        make_encoder: makes an encoder with fresh weights; called once per stream.
        part: what it learns from.
        streams: streams that are derived from the joints and learn side by side, any of ``joint``, ``bone``,
            ``motion``, ``bone_motion``; none learns from ``input.stream`` alone.
        label_smoothing: share of the target that is spread evenly over the classes.
        class_weights: ``balanced`` gives every class the same say, ``none`` every clip.
        mixup: clips are mixed in pairs, with shares from Beta(mixup, mixup); 0 does not mix.
        dropout: dropout on the features.
        frozen: learn the classifiers alone; the encoders stay as they are, batch norm included.
        classifier_std: standard deviation of the classifiers' weights to begin with; 0 takes CTR-GCN's,
            sqrt(2 / classes).

    Raises:
        InputError: an unknown stream or kind of weights, or an option out of range.
    """

    needs_labels = True

    def __init__(
        self,
        make_encoder: Callable[[], Encoder],
        part: TrainingPart,
        streams: tuple[str, ...] = (),
        label_smoothing: float = 0.0,
        class_weights: str = "none",
        mixup: float = 0.0,
        dropout: float = 0.0,
        frozen: bool = False,
        classifier_std: float = 0.0,
    ) -> None:
        super().__init__()
        if not (0 <= label_smoothing < 1 and 0 <= mixup < math.inf):
            raise InputError(
                "expects label_smoothing of at least 0 and below 1 and mixup of at least 0, "
                f"got {label_smoothing} and {mixup}"
            )
        self.streams = Classifiers(make_encoder, part, tuple(streams), dropout, classifier_std)
        self.class_weights: Tensor
        self.register_buffer("class_weights", weights_of(part.class_counts, class_weights), persistent=False)
        self.label_smoothing, self.mixup, self.frozen = label_smoothing, mixup, frozen
        for encoder in self.encoders.values() if frozen else ():
            encoder.requires_grad_(False)

    @classmethod
    def build(cls, make_encoder: Callable[[], Encoder], part: TrainingPart, **options: Any) -> Supervised:
        """Build it from a recipe's parts; see :meth:`Method.build`."""
        return cls(make_encoder, part, **options)

    @property
    def encoders(self) -> dict[str, Encoder]:
        """The encoders by stream."""
        return self.streams.encoders

    @property
    def classifiers(self) -> dict[str, nn.Linear]:
        """The last layers by stream."""
        return self.streams.linears

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Frozen encoders compute as at test time."""
        for encoder in self.encoders.values() if self.frozen else ():
            encoder.eval()

    def forward(
        self, x: Tensor, batch: Batch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a batch and what to log.

        Args:
            x: the clips.
            batch: the batch, for its labels and the presence of joints.
            generator: source of randomness for mixup (on the CPU).

        Shape:
            - x: (N, C, T, V, M)
            - returns: scalar loss; scalars by name.
        """
        inputs, mix = self.streams.inputs(x, batch.presence), None
        if self.mixup:  # of streams, not of joints: in a mixture it cannot be told which joints are there
            mixed, mix = mixup(torch.stack(list(inputs.values()), dim=1), self.mixup, generator)
            inputs = dict(zip(inputs, mixed.unbind(1), strict=True))
        values: dict[str, Tensor] = {}
        for stream, (_, scores) in self.streams.classify(inputs).items():
            values[f"loss/{stream}"] = classification_loss(
                scores, batch.labels, self.class_weights, self.label_smoothing, mix
            )
            values[f"accuracy/{stream}"] = (scores.detach().argmax(dim=1) == batch.labels).float().mean()
        losses = [value for name, value in values.items() if name.startswith("loss/")]
        means = mean_over_processes(torch.stack([torch.stack(losses).sum(), *values.values()]))
        return means[0], dict(zip(values, means[1:].detach(), strict=True))

    def warnings(self, history: list[dict[str, float]]) -> list[str]:
        """Signs that a stream learns nothing, if the epochs so far show them.

        Args:
            history: the logged means of each epoch.
        """
        chance = math.log(max(2, int((self.class_weights > 0).sum())))
        return [
            f"the {stream} stream learns nothing: after {len(history)} epochs its loss is that of guessing "
            "(change the learning rate, or look at the input section of the recipe)"
            for stream in self.streams
            if len(history) >= 5 and history[-1][f"loss/{stream}"] > 0.97 * chance
        ]
