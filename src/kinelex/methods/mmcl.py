"""MMCL: pictures and a language model's words teach a skeleton classifier that then runs alone.

Liu et al., "Multi-Modality Co-Learning for Efficient Skeleton-based Action Recognition", ACM MM 2024, arXiv
2407.15706. Differs from the published code in that the numbers of classes, joints and persons are the data's,
clips without a picture or a text are masked instead of missing, pictures' features may also come from the
prompt store, the image network's pooled features are aligned instead of its 1000 ImageNet scores, and the
contrastive loss sees the clips of all processes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kinelex.data.clip_prompts import Prompts
from kinelex.errors import InputError, check_name
from kinelex.losses import classification_loss, feature_alignment, gather, mean_over_processes
from kinelex.methods.base import Encoders, StepInput, StepOutput
from kinelex.methods.projector import projector
from kinelex.methods.prompt_choice import PromptChoice, prompt_statistics
from kinelex.methods.registry import register
from kinelex.methods.supervised import Supervised
from kinelex.models.image_network import ImageNetwork

RGB = ("cached", "joint")
HIDDEN = 64  # of the refinement


class Refinement(nn.Module):
    """FRM: the text weighs how far each class's score is to be trusted.

    Two weights that sum to 1 come from the text; they mix the learnable vectors ``positive`` and ``negative``
    (P and Q, one entry per class, 1 at first), which multiply the scores (N, classes) of texts (N, width).

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


@register
class MMCL(Supervised):
    """The method: classifiers, one refinement and one alignment per stream, and the loss.

    Args:
        encoder, num_classes, class_counts, stream: as in :class:`Supervised`.
        prompts: by modality the training part's prompts, as of :class:`~kinelex.methods.C2VL`: ``language``
            for the refinement, ``vision`` for the alignment with ``cached`` pictures.
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

    name = "mmcl"
    needs_prompts = True

    def __init__(
        self,
        encoder: Encoders,
        num_classes: int | None = None,
        prompts: Mapping[str, Any] | None = None,
        class_counts: Sequence[int] | None = None,
        stream: str = "joint",
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
        check_name("rgb", rgb, RGB)
        if min(alignment, refinement) < 0 or temperature <= 0:
            limits = "alignment and refinement of at least 0 and a temperature above 0"
            raise InputError(f"expects {limits}, got {alignment}, {refinement} and {temperature}")
        super().__init__(
            encoder, num_classes, class_counts, stream, streams, label_smoothing, class_weights, 0.0, dropout
        )
        self.alignment, self.refinement, self.temperature = alignment, refinement, temperature
        self.modalities = self.reads({"alignment": alignment, "refinement": refinement, "rgb": rgb})
        statistics = prompt_statistics({m: p for m, p in (prompts or {}).items() if m in self.modalities})
        for m in self.modalities:
            if m not in (*statistics, "images"):
                without = "refinement=0" if m == "language" else "alignment=0"
                raise InputError(f"mmcl needs {m} prompts: pass a prompt store that has them, or {without}")
        self.prompts = PromptChoice.of(statistics, "mean", 1, standardise)
        widths = dict(self.prompts.widths)
        if "images" in self.modalities:
            self.image_network = ImageNetwork(image_network, image_weights, image_size)
            widths["images"] = self.image_network.num_features
        self.projectors, self.refinements = nn.ModuleDict(), nn.ModuleDict()
        for name, classifier in self.classifiers.items():
            for m in self.modalities:
                if m == "language":
                    self.refinements[name] = Refinement(widths[m], classifier.out_features)
                else:
                    dim = classifier.in_features
                    self.projectors[name] = projector(widths[m], dim, dim)

    @classmethod
    def reads(cls, options: Mapping[str, Any]) -> tuple[str, ...]:
        """``language``, ``vision`` or ``images``; none of them if both weights are 0."""
        pictures = "images" if options["rgb"] == "joint" else "vision"
        return ("language",) * bool(options["refinement"]) + (pictures,) * bool(options["alignment"])

    def step(self, batch: StepInput) -> StepOutput:
        """Loss of a batch and what to log."""
        labels = gather(batch.labels)
        self.check_step(len(labels))
        teachers = self.prompts(batch.prompts, batch.generator)
        if "images" in self.modalities:
            teachers["images"] = self._features(batch.prompts["images"])
        pictures = next((m for m in self.modalities if m != "language"), None)
        masks = {m: gather(given.mask) for m, given in batch.prompts.items()}
        plain, accuracy = list[Tensor](), list[Tensor]()  # of each stream, over this process' clips
        refined, aligned = list[Tensor](), list[Tensor]()  # over the clips of all processes
        inputs = self.streams.inputs(batch.x, batch.presence)
        for stream, (features, scores) in self.streams.classify(inputs).items():
            plain.append(self._cross_entropy(scores, batch.labels))
            accuracy.append((scores.detach().argmax(dim=1) == batch.labels).float().mean())
            if self.refinement:
                better = gather(self.refinements[stream](scores, teachers["language"]))
                refined.append(self._cross_entropy(better, labels, masks["language"]))
            if pictures is not None:
                rgb = gather(self.projectors[stream](teachers[pictures]).float())
                with torch.autocast(rgb.device.type, enabled=False):  # similarities need full precision
                    skeleton = gather(features.float())
                    aligned.append(feature_alignment(skeleton, rgb, self.temperature, masks[pictures]))
        means = mean_over_processes(torch.stack([*plain, *accuracy]))
        loss = means[: len(plain)].sum()
        for weight, terms in ((self.refinement, refined), (self.alignment, aligned)):
            if terms:
                loss = loss + weight * torch.stack(terms).sum()
        logs = {f"loss/{s}": v.detach() for s, v in zip(self.streams, means, strict=False)}
        for kind, values in (("accuracy", means[len(plain) :]), ("refined", refined), ("alignment", aligned)):
            logs |= {f"{kind}/{s}": v.detach() for s, v in zip(self.streams, values, strict=False)}
        return StepOutput(loss, logs)

    def _cross_entropy(self, scores: Tensor, labels: Tensor, mask: Tensor | None = None) -> Tensor:
        return classification_loss(scores, labels, self.class_weights, self.label_smoothing, None, mask)

    def _features(self, pictures: Prompts) -> Tensor:
        """Features of the pictures, zeros for clips without one: black ones must not enter batch norms."""
        rows = pictures.mask.nonzero().squeeze(1)
        if len(rows) == 0:  # the loss masks it; every process has a gradient for every parameter
            rows = rows.new_zeros(1)
        features = self.image_network(pictures.frame[rows])
        return features.new_zeros(len(pictures), features.shape[1]).index_copy(0, rows, features)

    def check_step(self, clips: int) -> None:
        """Refuse a step where there is nothing to tell a clip's picture from."""
        if self.alignment and clips < 2:
            why = "alignment tells a clip's picture from those of others"
            raise InputError(f"{why}: expects a batch_size of 2 or more, got {clips}")
