"""C2VL: vision and language teach a skeleton encoder, without labels.

Chen et al., arXiv 2405.20606, IEEE TMM. Inference needs the skeleton encoder alone. No public code exists;
where an equation is not public, our reading is an option of :class:`C2VL` and says on what it rests
(``kinelex.losses.soft_targets``). Differs from the paper in the teachers that need no download: sentences
computed from the joints (MiniLM) and drawings or depth images (EfficientNet) instead of LLaVA and CLIP.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinelex.batch import Batch
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

PROMPT_CHOICES = ("random", "mean")
HISTOGRAM_BINS = 80


def projector(width: int, hidden: int, dim: int, norm: bool) -> nn.Sequential:
    """Linear → ReLU → Linear, or with batch norm before the ReLU. The L2 norm is taken by the caller."""
    middle = [nn.BatchNorm1d(hidden), nn.ReLU()] if norm else [nn.ReLU()]
    return nn.Sequential(nn.Linear(width, hidden), *middle, nn.Linear(hidden, dim))


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


class C2VL(nn.Module):
    """The method: encoder, projectors, teacher and loss.

    Args:
        encoder: the skeleton encoder to teach.
        widths: per modality (``language``, ``vision``) the width of a prompt as it reaches the projector.
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
        language_vision: also align language with vision, in both directions.
        prompt_dropout: dropout on the prompt embeddings.
        standardise: subtract the training part's mean from the prompt embeddings and divide by its standard
            deviation (:meth:`fit_prompts`). Sentences of one kind have nearly the same embedding; without
            this their common part drowns what tells them apart. (ours)
        projector_norm: batch norm in the projectors. (ours)

    Raises:
        InputError: no modality, or an option out of range.
    """

    def __init__(
        self,
        encoder: Encoder,
        widths: dict[str, int],
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
        language_vision: bool = False,
        prompt_dropout: float = 0.0,
        standardise: bool = True,
        projector_norm: bool = False,
    ) -> None:
        super().__init__()
        if not widths:
            raise InputError("c2vl needs prompts of at least one modality: pass --prompts PROMPTS")
        if intra not in INTRA:
            raise unknown_name("intra", intra, INTRA)
        if prompt not in PROMPT_CHOICES:
            raise unknown_name("prompt", prompt, PROMPT_CHOICES)
        if not (0 <= alpha <= 1 and 0 <= beta <= 1) or min(temperature, teacher_temperature) <= 0:
            raise InputError(
                f"c2vl expects alpha and beta from 0 to 1 and temperatures above 0, got alpha={alpha}, "
                f"beta={beta}, temperature={temperature}, teacher_temperature={teacher_temperature}"
            )
        self.student = Student(encoder, widths, hidden, dim, projector_norm, prompt_dropout)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False).eval()
        self.modalities = tuple(widths)
        self.standardise = standardise
        for m, width in widths.items():
            self.register_buffer(f"{m}_mean", torch.zeros(width))
            self.register_buffer(f"{m}_scale", torch.ones(width))
        self.pairs = [p for m in self.modalities for p in (("skeleton", m), (m, "skeleton"))]
        if language_vision and len(self.modalities) == 2:
            self.pairs += [("vision", "language"), ("language", "vision")]
        self.temperature, self.teacher_temperature = temperature, teacher_temperature
        self.alpha_final, self.beta = alpha, beta
        self.intra, self.inter = intra, inter
        self.progressive, self.prompt = progressive, prompt
        self.alpha = 0.0

    @property
    def encoder(self) -> Encoder:
        """The skeleton encoder: all that inference needs."""
        return self.student.encoder

    def trained_parameters(self) -> list[nn.Parameter]:
        """What the optimiser gets: the student, not the teacher."""
        return list(self.student.parameters())

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

    def fit_prompts(self, statistics: dict[str, tuple[Tensor, Tensor]]) -> None:
        """Take over mean and standard deviation of the training part's prompts.

        Shape:
            - statistics: per modality (width,) and (width,).
        """
        if self.standardise:
            for m, (mean, scale) in statistics.items():
                self.get_buffer(f"{m}_mean").copy_(mean)
                self.get_buffer(f"{m}_scale").copy_(scale)

    def choose_prompts(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """One vector per clip and modality: a frame's prompt (or their mean), and the clip's own beside it.

        Shape:
            - returns: per modality (N, width)
        """
        chosen = {}
        for m in self.modalities:
            parts = []
            frames = batch.prompts[m].float()  # (N, P, D)
            if frames.shape[1]:
                if self.prompt == "mean":
                    parts.append(frames.mean(dim=1))
                else:
                    pick = torch.randint(frames.shape[1], (len(frames),), generator=generator).to(
                        frames.device
                    )
                    parts.append(frames[torch.arange(len(frames), device=frames.device), pick])
            if m in batch.clip_prompts:
                parts.append(batch.clip_prompts[m].float())
            prompt = torch.cat(parts, dim=1)
            chosen[m] = (prompt - self.get_buffer(f"{m}_mean")) / self.get_buffer(f"{m}_scale")
        return chosen

    def forward(
        self, x: Tensor, batch: Batch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a batch and what to log.

        Args:
            x: the encoder's input.
            batch: the batch, for its prompts.
            generator: source of randomness for the choice of prompts (on the CPU).

        Shape:
            - x: (N, C, T, V, M)
            - returns: scalar loss; scalars and one histogram per pair by name.
        """
        prompts = self.choose_prompts(batch, generator)
        embeddings = {m: gather(e) for m, e in self.student(x, prompts).items()}
        guides = embeddings
        if self.alpha > 0:
            with torch.no_grad():
                guides = {m: gather(e) for m, e in self.teacher(x, prompts).items()}
        there = {m: gather(batch.present[m]) for m in self.modalities}
        logs: dict[str, Tensor] = {}
        loss = x.new_zeros(())
        for a, b in self.pairs:
            mask = None
            for m in (a, b):
                if m in there:
                    mask = there[m] if mask is None else mask & there[m]
            target = soft_targets(
                guides[a],
                guides[b],
                self.alpha,
                self.beta,
                self.teacher_temperature,
                self.intra,
                self.inter,
                mask,
            )
            pair_loss = soft_info_nce(embeddings[a], embeddings[b], target, self.temperature, mask)
            loss = loss + pair_loss
            logs[f"loss/{a}_{b}"] = pair_loss.detach()
            self._diagnose(logs, a, b, embeddings, target, mask)
        logs["alpha"] = torch.tensor(self.alpha)
        for m, e in embeddings.items():
            use = e.detach() if m not in there else e.detach()[there[m]]
            logs[f"uniformity/{m}"] = uniformity(use)
        return loss, logs

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
            share = 1 / len(self.pairs)
            p = pair_logits(ea, eb, self.temperature, mask).softmax(dim=1)
            diagonal = (target.diagonal() * rows).sum() / rows.sum().clamp(min=1)
            for name, value in (
                ("target_entropy", entropy(target, rows)),
                ("target_diagonal", diagonal),
                ("prediction_entropy", entropy(p, rows)),
                ("uniform_entropy", rows.sum().clamp(min=1).float().log()),
            ):
                logs[name] = logs.get(name, torch.zeros_like(value)) + share * value
            if a == "skeleton" or (a, b) == ("vision", "language"):
                logs[f"alignment/{a}_{b}"] = alignment(ea, eb, rows)
                logs[f"histogram/{a}_{b}"] = off_diagonal_histogram(ea, eb, HISTOGRAM_BINS, rows)
