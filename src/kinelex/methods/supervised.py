"""Supervised: an encoder per stream and a linear classifier, learned from labels.

The strong baseline that every other method is compared with. With ST-GCN, CTR-GCN or HD-GCN as encoder and
their recipes it is those publications' training. Streams share nothing but the clips and their augmentation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kinelex.encoders import Encoder
from kinelex.errors import InputError
from kinelex.losses import class_weights as weights_of
from kinelex.losses import classification_loss, mean_over_processes, mixup
from kinelex.losses.classification import LEAST_MIXUP
from kinelex.methods.base import Encoders, Method, StepInput, StepOutput
from kinelex.methods.classifier import Classifiers
from kinelex.methods.diagnostics import classifier_warnings
from kinelex.methods.registry import register


@register
class Supervised(Method):
    """The method: classifiers and cross-entropy.

    Args:
        encoder: the encoder; or one for each stream by name, which are then derived from the joints.
        num_classes: number of classes.
        class_counts: labelled clips of each class in the training part, for ``class_weights``.
        stream: the stream that a single encoder reads, as ``x`` is.
        streams: streams that are derived from the joints and learn side by side, any of ``joint``, ``bone``,
            ``motion``, ``bone_motion``, each with a copy of a single encoder; none takes ``x`` as it is.
        label_smoothing: share of the target that is spread evenly over the classes.
        class_weights: ``balanced`` gives every class the same say, ``none`` every clip.
        mixup: clips are mixed in pairs, with shares from Beta(mixup, mixup), 0.1 or more; 0 does not mix.
        dropout: dropout on the features.
        frozen: learn the classifiers alone; the encoders stay as they are, batch norm included.
        classifier_std: of the classifiers' weights to begin with; 0 takes CTR-GCN's, sqrt(2 / classes).

    Raises:
        InputError: no number of classes, an unknown stream or kind of weights, or an option out of range.
    """

    name = "supervised"
    needs_labels = True

    def __init__(
        self,
        encoder: Encoders,
        num_classes: int | None = None,
        class_counts: Sequence[int] | None = None,
        stream: str = "joint",
        streams: tuple[str, ...] = (),
        label_smoothing: float = 0.0,
        class_weights: str = "none",
        mixup: float = 0.0,
        dropout: float = 0.0,
        frozen: bool = False,
        classifier_std: float = 0.0,
    ) -> None:
        super().__init__()
        if not (0 <= label_smoothing < 1 and (mixup == 0 or LEAST_MIXUP <= mixup < math.inf)):
            limits = f"label_smoothing of at least 0 and below 1 and mixup of 0 or at least {LEAST_MIXUP}"
            raise InputError(f"expects {limits}, got {label_smoothing} and {mixup}")
        if class_counts is None:
            if class_weights == "balanced":
                raise InputError("class_weights=balanced needs class_counts, the clips of each class")
            class_counts = [1] * (num_classes or 1)
        elif num_classes is not None and len(class_counts) != num_classes:
            raise InputError(f"expects class_counts of {num_classes} classes, got {len(class_counts)}")
        self.streams = Classifiers(encoder, tuple(streams), stream, num_classes, dropout, classifier_std)
        self.class_weights: Tensor
        self.register_buffer("class_weights", weights_of(class_counts, class_weights), persistent=False)
        self.label_smoothing, self.mixup, self.frozen = label_smoothing, mixup, frozen
        for one in self.encoders.values() if frozen else ():
            one.requires_grad_(False).eval()

    @property
    def encoders(self) -> dict[str, Encoder]:
        """The encoders by stream."""
        return self.streams.encoders

    @property
    def classifiers(self) -> dict[str, nn.Linear]:
        """The last layers by stream."""
        return self.streams.linears

    def train(self, mode: bool = True) -> Supervised:
        super().train(mode)
        for encoder in self.encoders.values() if self.frozen else ():
            encoder.eval()  # computes as at test time
        return self

    def step(self, batch: StepInput) -> StepOutput:
        """Loss of a batch and what to log."""
        if self.frozen and any(encoder.training for encoder in self.encoders.values()):
            raise InputError(
                "a frozen encoder is in train mode, where batch norm changes: call train() of the method, "
                "which leaves it in eval mode, not of the encoder"
            )
        inputs, mix = self.streams.inputs(batch.x, batch.presence), None
        if self.mixup:  # of streams, not of joints: in a mixture it cannot be told which joints are there
            mixed, mix = mixup(torch.stack(list(inputs.values()), dim=1), self.mixup, batch.generator)
            inputs = dict(zip(inputs, mixed.unbind(1), strict=True))
        values: dict[str, Tensor] = {}
        for stream, (_, scores) in self.streams.classify(inputs).items():
            values[f"loss/{stream}"] = classification_loss(
                scores, batch.labels, self.class_weights, self.label_smoothing, mix
            )
            values[f"accuracy/{stream}"] = (scores.detach().argmax(dim=1) == batch.labels).float().mean()
        losses = [value for name, value in values.items() if name.startswith("loss/")]
        means = mean_over_processes(torch.stack([torch.stack(losses).sum(), *values.values()]))
        return StepOutput(means[0], dict(zip(values, means[1:].detach(), strict=True)))

    def warnings(self, history: list[dict[str, float]]) -> list[str]:
        """Signs that a stream learns nothing, if the epochs so far show them."""
        return classifier_warnings(history, self.streams, int((self.class_weights > 0).sum()))
