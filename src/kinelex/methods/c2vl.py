"""C2VL: vision and language teach a skeleton encoder, without labels.

Chen et al., arXiv 2405.20606, IEEE TMM. Inference needs the skeleton encoder alone. No public code exists;
where an equation is not public, our reading is an option of :class:`C2VL` and says on what it rests
(``kinelex.losses.soft_targets``). Differs from the paper in the teachers that need no download: sentences
computed from the joints (MiniLM) and drawings or depth images (EfficientNet) instead of LLaVA and CLIP.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinelex.data.batch import Batch
from kinelex.data.clip_prompts import PromptChoice, PromptShape, PromptStatistics
from kinelex.encoders import Encoder
from kinelex.errors import InputError, unknown_name
from kinelex.losses import (
    INTRA,
    alignment,
    entropy,
    gather,
    off_diagonal_histogram,
    pair_logits,
    progressive_alpha,
    soft_info_nce,
    soft_targets,
    uniformity,
)
from kinelex.methods.base import Method, TrainingPart
from kinelex.methods.embedding_space import EmbeddingSpace
from kinelex.methods.projector import projector

HISTOGRAM_BINS = 80
SECOND = "skeleton_view"  # a second augmentation of the same clip


class Student(nn.Module):
    """Encoder and one projector per modality: what is trained, and what the teacher is a copy of."""

    def __init__(
        self, encoder: Encoder, widths: dict[str, int], hidden: int, dim: int, norm: bool, dropout: float
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        all_widths = {"skeleton": encoder.num_features, **widths}
        self.projectors = nn.ModuleDict({m: projector(w, hidden, dim, norm) for m, w in all_widths.items()})

    def forward(self, x: Tensor, prompts: dict[str, Tensor]) -> dict[str, Tensor]:
        """Embeddings (N, D) per modality, L2-normalised."""
        inputs = {"skeleton": self.encoder(x), **{m: self.dropout(p) for m, p in prompts.items()}}
        return {m: F.normalize(self.projectors[m](v).float(), dim=1) for m, v in inputs.items()}


class C2VL(Method):
    """The method: encoder, projectors, teacher and loss.

    Args:
        encoder: the skeleton encoder to teach.
        prompts: per modality (``language``, ``vision``) what its prompts look like.
        dim: embedding size D.
        hidden: width of the projectors' hidden layer.
        temperature: τ of the predictions.
        teacher_temperature: τ_s of the soft targets.
        alpha: α_T, the teacher's share of the target in the last epoch; 0 is plain InfoNCE.
        beta: β, the hard share inside the intra-modal term.
        intra: whose self-similarity guides: ``anchor``, ``candidate`` or ``none``.
        inter: whether the cross-modal cycle guides.
        progressive: α grows over the epochs; otherwise it is α_T from the second epoch on.
        prompt: which prompt stands for a clip in a step: ``random`` or the ``mean`` of all.
        segments: with ``mean``, keep the means of so many consecutive parts of the clip apart. (ours)
        language_vision: also align language with vision, in both directions.
        prompt_dropout: dropout on the prompt embeddings.
        standardise: subtract the training part's mean from the prompts and divide by their scale. Sentences
            of one kind have nearly the same embedding; without this their common part drowns what tells
            them apart. (ours)
        projector_norm: batch norm in the projectors. (ours)
        views: augmentations of a clip per step. With 2 both learn from the prompts and also from each
            other, as in SLIP (Mu et al., ECCV 2022). (ours)
        view_weight: weight of the terms between the two views.
        language_weight, vision_weight: weight of the terms with that modality. (ours)

    Raises:
        InputError: no modality, or an option out of range.
    """

    needs_prompts = True

    def __init__(
        self,
        encoder: Encoder,
        prompts: dict[str, PromptShape],
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
    ) -> None:
        super().__init__()
        if not prompts:
            raise InputError("c2vl needs prompts of at least one modality: pass --prompts PROMPTS")
        if intra not in INTRA:
            raise unknown_name("intra", intra, INTRA)
        if views not in (1, 2) or min(dim, hidden) < 1:
            raise InputError(
                f"c2vl expects views to be 1 or 2, dim and hidden at least 1, got {views}, {dim} and {hidden}"
            )
        if not (0 <= alpha <= 1 and 0 <= beta <= 1) or min(temperature, teacher_temperature) <= 0:
            raise InputError(
                f"c2vl expects alpha and beta from 0 to 1 and temperatures above 0, got alpha={alpha}, "
                f"beta={beta}, temperature={temperature}, teacher_temperature={teacher_temperature}"
            )
        self.prompts = PromptChoice(prompts, prompt, segments, standardise)
        self.student = Student(encoder, self.prompts.widths, hidden, dim, projector_norm, prompt_dropout)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False).eval()
        self.modalities = tuple(prompts)
        self.views, self.view_weight = views, view_weight
        self.modality_weight = {"language": language_weight, "vision": vision_weight}
        self.pairs: list[tuple[str, str]] = []
        for skeleton in ("skeleton", SECOND)[:views]:
            self.pairs += [p for m in self.modalities for p in ((skeleton, m), (m, skeleton))]
        if language_vision and len(self.modalities) == 2:
            self.pairs += [("vision", "language"), ("language", "vision")]
        if views == 2:
            self.pairs += [("skeleton", SECOND), (SECOND, "skeleton")]
        self.temperature, self.teacher_temperature = temperature, teacher_temperature
        self.alpha_final, self.beta = alpha, beta
        self.intra, self.inter, self.progressive = intra, inter, progressive
        self.alpha = 0.0
        self.stream = "joint"

    @classmethod
    def build(cls, make_encoder: Callable[[], Encoder], part: TrainingPart, **options: Any) -> C2VL:
        """Build it from a recipe's parts; see :meth:`Method.build`."""
        method = cls(make_encoder(), part.prompts, **options)
        method.stream = part.stream
        return method

    @property
    def encoders(self) -> dict[str, Encoder]:
        """The skeleton encoder under the name of the stream it reads."""
        return {self.stream: self.student.encoder}

    @property
    def space(self) -> EmbeddingSpace:
        """The projectors' common space, with what makes a clip's vectors of its prompts."""
        return EmbeddingSpace(self.student.projectors, self.prompts)

    def trained_parameters(self) -> list[nn.Parameter]:
        """What the optimiser gets: the student, not the teacher."""
        return list(self.student.parameters())

    def fit_prompts(self, statistics: dict[str, PromptStatistics]) -> None:
        """Take over mean and scale of the training part's prompts."""
        self.prompts.fit(statistics)

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Set α for the epoch; the first has no teacher yet."""
        if self.progressive:
            self.alpha = progressive_alpha(epoch, epochs, self.alpha_final)
        else:
            self.alpha = self.alpha_final if epoch > 0 else 0.0
        if self.intra == "none" and not self.inter:
            self.alpha = 0.0

    def end_epoch(self) -> None:
        """The teacher becomes the network as it stands at the end of the epoch."""
        self.teacher.load_state_dict(self.student.state_dict())

    def train(self, mode: bool = True) -> C2VL:
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(
        self, x: Tensor, batch: Batch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a batch and what to log.

        Args:
            x: the encoder's input.
            batch: the batch, for its prompts.
            generator: source of randomness for the choice of prompts (on the CPU).

        Shape:
            - x: (views·N, C, T, V, M), all clips' first views, then their second ones.
            - returns: scalar loss; scalars and one histogram per pair by name.
        """
        prompts = self.prompts(batch, generator)
        embeddings = self._embed(self.student, x, prompts)
        guides = embeddings
        if self.alpha > 0:
            with torch.no_grad():
                guides = self._embed(self.teacher, x, prompts)
        with torch.autocast(x.device.type, enabled=False):  # similarities over τ need full precision
            return self._loss(embeddings, guides, {m: gather(batch.present[m]) for m in self.modalities})

    def _loss(
        self, embeddings: dict[str, Tensor], guides: dict[str, Tensor], there: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of the embeddings with targets from the guides' (the teacher's), and what to log."""
        logs: dict[str, Tensor] = {"alpha": torch.tensor(self.alpha)}
        loss = next(iter(embeddings.values())).new_zeros(())
        for a, b in self.pairs:
            masks = [there[m] for m in (a, b) if m in there]
            mask = torch.stack(masks).all(dim=0) if masks else None
            weights = (self.alpha, self.beta, self.teacher_temperature, self.intra, self.inter)
            target = soft_targets(guides[a], guides[b], *weights, mask)
            pair_loss = soft_info_nce(embeddings[a], embeddings[b], target, self.temperature, mask)
            loss = loss + self._weight(a, b) * pair_loss
            logs[f"loss/{a}_{b}"] = pair_loss.detach()
            self._diagnose(logs, a, b, embeddings, target, mask)
        for m, e in embeddings.items():
            logs[f"uniformity/{m}"] = uniformity(e.detach() if m not in there else e.detach()[there[m]])
        return loss, logs

    def _embed(self, network: nn.Module, x: Tensor, prompts: dict[str, Tensor]) -> dict[str, Tensor]:
        """Embeddings of all processes' clips, the two views apart."""
        found = network(x, prompts)
        if self.views == 2:
            found["skeleton"], found[SECOND] = found["skeleton"].chunk(2)
        return {m: gather(e) for m, e in found.items()}

    def _weight(self, a: str, b: str) -> float:
        """Weight of a pair: terms with prompts are means over the views."""
        skeletons = {a, b} & {"skeleton", SECOND}
        if len(skeletons) == 2:
            return self.view_weight
        weight = min(self.modality_weight.get(m, 1.0) for m in (a, b))
        return weight / self.views if skeletons else weight

    def _diagnose(
        self,
        logs: dict[str, Tensor],
        a: str,
        b: str,
        embeddings: dict[str, Tensor],
        target: Tensor,
        mask: Tensor | None,
    ) -> None:
        with torch.no_grad():
            ea, eb = embeddings[a], embeddings[b]
            rows = torch.ones(len(ea), dtype=torch.bool, device=ea.device) if mask is None else mask
            p = pair_logits(ea, eb, self.temperature, mask).softmax(dim=1)
            for name, value in (
                ("target_entropy", entropy(target, rows)),
                ("target_diagonal", (target.diagonal() * rows).sum() / rows.sum().clamp(min=1)),
                ("prediction_entropy", entropy(p, rows)),
                ("uniform_entropy", rows.sum().clamp(min=1).float().log()),
            ):
                logs[name] = logs.get(name, torch.zeros_like(value)) + value / len(self.pairs)
            if a == "skeleton" or (a, b) == ("vision", "language"):
                logs[f"alignment/{a}_{b}"] = alignment(ea, eb, rows)
                logs[f"histogram/{a}_{b}"] = off_diagonal_histogram(ea, eb, HISTOGRAM_BINS, rows)

    def warnings(self, history: list[dict[str, float]]) -> list[str]:
        """The paper's failure signatures, if the epochs so far show them.

        Args:
            history: the logged means of each epoch.
        """
        found: list[str] = []
        if len(history) < 5:
            return found
        first, last = history[0], history[-1]
        if last["prediction_entropy"] > 0.97 * last["uniform_entropy"]:
            found.append(
                "similarities are uniform: the predictions are no better than even over the batch after "
                f"{len(history)} epochs (change the learning rate or the temperature, look at the prompts)"
            )
        if self.alpha > 0 and last["prediction_entropy"] > 0.99 * first["prediction_entropy"]:
            found.append(
                "the teacher does not get more confident: the entropy of the predictions has not fallen "
                "since the first epoch, soft targets from it say little (lower alpha)"
            )
        return found
