"""C2VL: vision and language teach a skeleton encoder, without labels.

Chen et al., arXiv 2405.20606, IEEE TMM. No public code exists; where an equation is not public, our reading
is an option of :class:`C2VL` and says on what it rests (``kinelex.losses.soft_targets``). Ours are teachers
that need no download: sentences from the joints (MiniLM), drawings or depth images (EfficientNet).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinelex.encoders import Encoder
from kinelex.errors import InputError, check_name
from kinelex.losses import INTRA, gather, pair_mask, progressive_alpha, soft_info_nce, soft_targets
from kinelex.methods.base import Encoders, Method, StepInput, StepOutput, encoders_by_stream
from kinelex.methods.diagnostics import Pair, c2vl_logs, c2vl_warnings
from kinelex.methods.embedding_space import EmbeddingSpace
from kinelex.methods.projector import projectors
from kinelex.methods.prompt_choice import PromptChoice, prompt_statistics
from kinelex.methods.registry import register

VIEWS = ("skeleton", "skeleton_view")  # the second is another augmentation of the same clip
Tensors = dict[str, Tensor]  # by modality


class Student(nn.Module):
    """Encoder and one projector per modality: what is trained, and what the teacher is a copy of."""

    def __init__(self, encoder: Encoder, projectors: nn.ModuleDict, dropout: float) -> None:
        super().__init__()
        self.encoder, self.projectors, self.dropout = encoder, projectors, nn.Dropout(dropout)

    def forward(self, x: Tensor, prompts: Tensors) -> Tensors:
        """Embeddings (N, D) per modality, L2-normalised, of clips x (N, C, T, V, M) or features (N, F)."""
        features = x if x.dim() == 2 else self.encoder(x)
        inputs = {"skeleton": features, **{m: self.dropout(p) for m, p in prompts.items()}}
        return {m: F.normalize(self.projectors[m](v).float(), dim=1) for m, v in inputs.items()}


@register
class C2VL(Method):
    """The method: encoder, projectors, teacher and loss. The start of an epoch sets α, its end the teacher.

    Args:
        encoder: the skeleton encoder to teach.
        prompts: by modality (``language``, ``vision``) the training part's prompts: arrays, ``Prompts``, or
            their ``PromptStatistics``; widths, mean and scale are taken from them.
        stream: the stream that the encoder reads, as ``x`` is.
        dim, hidden: embedding size D, and width of the projectors' hidden layer.
        temperature, teacher_temperature: τ of the predictions, and τ_s of the soft targets.
        alpha: α_T, the teacher's share of the target in the last epoch; 0 is plain InfoNCE.
        beta: β, the hard share inside the intra-modal term.
        intra: whose self-similarity guides: ``anchor``, ``candidate`` or ``none``.
        inter: whether the cross-modal cycle guides.
        progressive: α grows over the epochs; otherwise it is α_T from the second epoch on.
        prompt: which prompt stands for a clip in a step: ``random`` or the ``mean`` of all.
        segments: with ``mean``, keep the means of so many consecutive parts of the clip apart. (ours)
        language_vision: also align language with vision, in both directions.
        prompt_dropout: dropout on the prompt embeddings.
        standardise: subtract the training part's mean from the prompts and divide by their scale: without
            this the common part of sentences of one kind drowns what tells them apart. (ours)
        projector_norm: batch norm in the projectors. (ours)
        views: augmentations of a clip per step. With 2 both learn from the prompts and also from each
            other, as in SLIP (Mu et al., ECCV 2022). (ours)
        view_weight, language_weight, vision_weight: weights of terms between views, and with each. (ours)
        text_space: no projector for language: skeletons (and pictures) are brought into the text encoder's
            own space, in which D is the width of a clip's language prompts. For zero-shot. (ours)

    Raises:
        InputError: no modality, or an option out of range.
    """

    name = "c2vl"
    needs_prompts = needs_epochs = True

    def __init__(
        self,
        encoder: Encoders,
        prompts: Mapping[str, Any],
        stream: str = "joint",
        dim: int = 128,
        hidden: int = 256,
        temperature: float = 0.07,
        teacher_temperature: float = 0.07,
        alpha: float = 0.8,
        beta: float = 0.5,
        intra: str = "anchor",
        inter: bool = True,
        progressive: bool = True,
        prompt: str = "random",
        segments: int = 1,
        language_vision: bool = False,
        prompt_dropout: float = 0.0,
        standardise: bool = True,
        projector_norm: bool = False,
        views: int = 1,
        view_weight: float = 1.0,
        language_weight: float = 1.0,
        vision_weight: float = 1.0,
        text_space: bool = False,
    ) -> None:
        super().__init__()
        if not prompts:
            raise InputError("c2vl needs prompts of at least one modality: pass --prompts PROMPTS")
        check_name("intra", intra, INTRA)
        if views not in (1, 2) or min(dim, hidden) < 1:
            raise InputError(f"c2vl expects views to be 1 or 2, sizes above 0, got {views}, {dim}, {hidden}")
        if not (0 <= alpha <= 1 and 0 <= beta <= 1) or min(temperature, teacher_temperature) <= 0:
            raise InputError(
                f"c2vl expects alpha and beta from 0 to 1 and temperatures above 0, got alpha={alpha}, "
                f"beta={beta}, temperature={temperature}, teacher_temperature={teacher_temperature}"
            )
        (self.stream, skeleton), *more = encoders_by_stream(encoder, (stream,))
        if more:
            raise InputError(f"c2vl learns with one encoder, got {', '.join([self.stream, *dict(more)])}")
        self.prompts = PromptChoice.of(prompt_statistics(prompts), prompt, segments, standardise)
        if text_space and "language" not in prompts:
            raise InputError("text_space=true needs language prompts: make some, or leave it off")
        widths = {"skeleton": skeleton.num_features, **self.prompts.widths}
        heads = projectors(widths, hidden, dim, projector_norm, text_space)
        self.student = Student(skeleton, heads, prompt_dropout)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False).eval()
        self.modalities, self.views = tuple(prompts), views
        self.temperature, self.teacher_temperature, self.beta = temperature, teacher_temperature, beta
        self.intra, self.inter, self.progressive = intra, inter, progressive
        self.alpha, self.final_alpha = 0.0, alpha if inter or intra != "none" else 0.0
        self.pairs: dict[Pair, float] = {}  # with weights: terms with prompts are means over the views
        weights = {"language": language_weight, "vision": vision_weight}
        for view in VIEWS[:views]:
            for m in self.modalities:
                self.pairs[view, m] = self.pairs[m, view] = weights.get(m, 1.0) / views
        if language_vision and len(self.modalities) == 2:
            self.pairs["vision", "language"] = self.pairs["language", "vision"] = min(weights.values())
        if views == 2:
            self.pairs[VIEWS] = self.pairs[VIEWS[::-1]] = view_weight

    @property
    def encoders(self) -> dict[str, Encoder]:
        """The skeleton encoder under the name of the stream it reads."""
        return {self.stream: self.student.encoder}

    @property
    def embedding_space(self) -> EmbeddingSpace:
        """The projectors' common space, with what makes a clip's vectors of its prompts."""
        return EmbeddingSpace(self.student.projectors, self.prompts)

    def on_epoch_start(self, epoch: int, epochs: int) -> None:
        """Set α for the epoch; the first has no teacher yet."""
        super().on_epoch_start(epoch, epochs)
        later = self.final_alpha if epoch else 0.0
        self.alpha = progressive_alpha(epoch, epochs, self.final_alpha) if self.progressive else later

    def on_epoch_end(self) -> None:
        """The teacher becomes the network as it stands at the end of the epoch."""
        super().on_epoch_end()
        self.teacher.load_state_dict(self.student.state_dict())

    def train(self, mode: bool = True) -> C2VL:
        super().train(mode)
        self.teacher.eval()
        return self

    def step(self, batch: StepInput) -> StepOutput:
        """Loss of a batch and what to log."""
        prompts = self.prompts(batch.prompts, batch.generator)
        embeddings = guides = self._embed(self.student, batch.clips_or_features, prompts)
        if self.alpha > 0:
            with torch.no_grad():
                guides = self._embed(self.teacher, batch.x, prompts)
        with torch.autocast(batch.x.device.type, enabled=False):  # similarities over τ need full precision
            return self._loss(embeddings, guides, {m: gather(p.mask) for m, p in batch.prompts.items()})

    def _embed(self, network: nn.Module, x: Tensor, prompts: Tensors) -> Tensors:
        """Embeddings of all processes' clips, the two views apart."""
        embeddings = network(x, prompts)
        embeddings |= zip(VIEWS, embeddings["skeleton"].chunk(self.views), strict=False)
        return {m: gather(e) for m, e in embeddings.items()}

    def _loss(self, embeddings: Tensors, guides: Tensors, masks: Tensors) -> StepOutput:
        """The loss of the embeddings with targets from the guides' (the teacher's), and what to log."""
        loss, logs, targets = torch.zeros((), device=embeddings["skeleton"].device), {}, dict[Pair, Tensor]()
        guidance = (self.alpha, self.beta, self.teacher_temperature, self.intra, self.inter)
        for (a, b), weight in self.pairs.items():
            mask = pair_mask(masks, a, b)
            targets[a, b] = soft_targets(guides[a], guides[b], *guidance, mask)
            term = soft_info_nce(embeddings[a], embeddings[b], targets[a, b], self.temperature, mask)
            loss, logs[f"loss/{a}_{b}"] = loss + weight * term, term.detach()
        logs |= c2vl_logs(embeddings, targets, masks, self.temperature)
        return StepOutput(loss, {"alpha": torch.tensor(self.alpha), **logs})

    def warnings(self, history: list[dict[str, float]]) -> list[str]:
        """The paper's failure signatures, if the epochs so far show them."""
        return c2vl_warnings(history, self.alpha)
