"""MMCL: pictures and a language model's words teach a skeleton classifier that then runs alone.

Liu et al., "Multi-Modality Co-Learning for Efficient Skeleton-based Action Recognition", ACM MM 2024, arXiv
2407.15706. Differs from the published code in that the numbers of classes, joints and persons are the data's,
clips without a picture or a text are masked instead of missing, pictures' features may also come from the
prompt store, the image network's pooled features are aligned instead of its 1000 ImageNet scores, and the
contrastive loss sees the clips of all processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kinelex.data.batch import Batch
from kinelex.data.clip_prompts import PromptChoice, PromptStatistics
from kinelex.encoders import Encoder
from kinelex.errors import InputError, unknown_name
from kinelex.losses import classification_loss, feature_alignment, gather, mean_over_processes
from kinelex.methods.base import TrainingPart
from kinelex.methods.projector import projector
from kinelex.methods.supervised import Supervised
from kinelex.models.image_network import ImageNetwork

RGB = ("cached", "joint")
HIDDEN = 64  # of the refinement


class Refinement(nn.Module):
    """FRM: the text weighs how far each class's score is to be trusted.

    Two weights that sum to 1 come from the text; they mix the learnable vectors ``positive`` and ``negative``
    (P and Q, one entry per class, 1 at first), which multiply the scores.

    Args:
        width: width F of a text feature.
        classes: number of classes.

    Shape:
        - scores: (N, classes); text: (N, F)
        - returns: (N, classes)

    Source: the section on feature refinement.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.weigh = projector(width, HIDDEN, 2)
        self.positive = nn.Parameter(torch.ones(classes))
        self.negative = nn.Parameter(torch.ones(classes))

    def forward(self, scores: Tensor, text: Tensor) -> Tensor:
        weights = self.weigh(text).float().softmax(dim=1)  # (N, 2)
        # no matrix product: with bf16-mixed it would round the vectors, which stay near 1, to steps of 1/256
        return (weights[:, :1] * self.positive + weights[:, 1:] * self.negative) * scores


class MMCL(Supervised):
    """The method: classifiers, one refinement and one alignment per stream, and the loss.

    Args:
        make_encoder: makes an encoder with fresh weights; called once per stream.
        part: what it learns from.
        streams, label_smoothing, class_weights, dropout: as in :class:`Supervised`.
        alignment: weight of the feature alignment; with 0 no pictures are needed.
        refinement: weight of the refined scores' cross-entropy; with 0 no texts are needed.
        temperature: τ of the alignment.
        rgb: where the pictures' features come from: ``cached`` takes the prompt store's vision embeddings,
            the mean over a clip's frames; ``joint`` trains an image network along, on the tiled pictures
            that ``kinelex prompts --keep tile`` left in the prompt store. All streams share it.
        image_network: of ``joint``: ``efficientnet_lite0``, ``transformers:FOLDER_OR_ID`` or ``timm:NAME``.
        image_weights: weights that it starts from, where not its own.
        image_size: pixels per side that pictures are resized to; 0 is the network's own size.
        standardise: subtract the training part's mean from texts and cached pictures and divide by their
            scale, as C2VL does. (ours)

    Raises:
        InputError: an option out of range, or prompts that it needs and does not get.
    """

    needs_prompts = True

    def __init__(
        self,
        make_encoder: Callable[[], Encoder],
        part: TrainingPart,
        streams: tuple[str, ...] = (),
        label_smoothing: float = 0.0,
        class_weights: str = "none",
        dropout: float = 0.0,
        alignment: float = 0.1,
        refinement: float = 0.2,
        temperature: float = 0.4,
        rgb: str = "cached",
        image_network: str = "efficientnet_lite0",
        image_weights: str | None = None,
        image_size: int = 0,
        standardise: bool = False,
    ) -> None:
        if rgb not in RGB:
            raise unknown_name("rgb", rgb, RGB)
        if min(alignment, refinement) < 0 or temperature <= 0:
            raise InputError(
                "expects alignment and refinement of at least 0 and a temperature above 0, "
                f"got {alignment}, {refinement} and {temperature}"
            )
        super().__init__(make_encoder, part, streams, label_smoothing, class_weights, 0.0, dropout)
        self.alignment, self.refinement, self.temperature = alignment, refinement, temperature
        self.modalities = self.reads({"alignment": alignment, "refinement": refinement, "rgb": rgb})
        shapes = {m: part.prompts[m] for m in self.modalities if m in part.prompts}
        for m in self.modalities:
            if m not in (*shapes, "images"):
                raise InputError(f"mmcl needs {m} prompts: pass a prompt store that has them, or {_off(m)}")
        self.prompts = PromptChoice(shapes, "mean", standardise=standardise)
        widths = dict(self.prompts.widths)
        if "images" in self.modalities:
            self.image_network = ImageNetwork(image_network, image_weights, image_size)
            widths["images"] = self.image_network.num_features
        self.projectors, self.refinements = nn.ModuleDict(), nn.ModuleDict()
        for stream, encoder in self.encoders.items():
            dim = encoder.num_features
            for m in self.modalities:
                if m == "language":
                    self.refinements[stream] = Refinement(widths[m], len(part.class_names))
                else:
                    self.projectors[stream] = projector(widths[m], dim, dim)

    @classmethod
    def reads(cls, options: Mapping[str, Any]) -> tuple[str, ...]:
        """What it reads from the prompt store: ``language``, ``vision`` or ``images``, none of them if both
        weights are 0."""
        found = ["language"] if options["refinement"] else []
        if options["alignment"]:
            found.append("images" if options["rgb"] == "joint" else "vision")
        return tuple(found)

    def fit_prompts(self, statistics: dict[str, PromptStatistics]) -> None:
        """Take over mean and scale of the training part's prompts, if ``standardise`` is on."""
        self.prompts.fit(statistics)

    def forward(
        self, x: Tensor, batch: Batch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a batch and what to log.

        Args:
            x: the clips.
            batch: the batch, for its labels, prompts, pictures and the presence of joints.
            generator: source of randomness (on the CPU).

        Shape:
            - x: (N, C, T, V, M)
            - returns: scalar loss; scalars by name.
        """
        teachers = self.prompts(batch, generator)
        if "images" in self.modalities:
            teachers["images"] = self._see(batch)
        there = {m: gather(batch.present[m]) for m in self.modalities}
        own: dict[str, Tensor] = {}
        shared: dict[str, Tensor] = {}  # of the clips of all processes
        for stream, (features, scores) in self.streams.classify(
            self.streams.inputs(x, batch.presence)
        ).items():
            own[f"loss/{stream}"] = self._cross_entropy(scores, batch.labels)
            own[f"accuracy/{stream}"] = (scores.detach().argmax(dim=1) == batch.labels).float().mean()
            for m in self.modalities:
                if m == "language":
                    refined = gather(self.refinements[stream](scores, teachers[m]))
                    shared[f"refined/{stream}"] = self._cross_entropy(refined, gather(batch.labels), there[m])
                else:
                    pictures = gather(self.projectors[stream](teachers[m]).float())
                    with torch.autocast(x.device.type, enabled=False):  # similarities need full precision
                        shared[f"alignment/{stream}"] = feature_alignment(
                            gather(features.float()), pictures, self.temperature, there[m]
                        )
        means = mean_over_processes(torch.stack(list(own.values())))
        values = dict(zip(own, means, strict=True)) | shared
        weights = {"loss": 1.0, "refined": self.refinement, "alignment": self.alignment}
        terms = [weights.get(name.split("/")[0], 0.0) * value for name, value in values.items()]
        return torch.stack(terms).sum(), {name: value.detach() for name, value in values.items()}

    def _cross_entropy(self, scores: Tensor, labels: Tensor, mask: Tensor | None = None) -> Tensor:
        return classification_loss(scores, labels, self.class_weights, self.label_smoothing, None, mask)

    def _see(self, batch: Batch) -> Tensor:
        """Features of the pictures, zeros for clips without one: black ones must not enter batch norms."""
        assert batch.images is not None
        rows = batch.present["images"].nonzero().squeeze(1)
        if len(rows) == 0:  # the loss masks it; every process has a gradient for every parameter
            rows = rows.new_zeros(1)
        seen = self.image_network(batch.images[rows])
        return seen.new_zeros(len(batch), seen.shape[1]).index_copy(0, rows, seen)

    def check_step(self, clips: int) -> None:
        """Raise an InputError where there is nothing to tell a clip's picture from."""
        if self.alignment and clips < 2:
            raise InputError(
                "alignment tells a clip's picture from those of others: expects a batch_size of 2 or more, "
                f"got {clips}"
            )


def _off(modality: str) -> str:
    return "refinement=0" if modality == "language" else "alignment=0"
