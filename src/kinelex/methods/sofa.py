"""SOfA: a student that sees a tenth of a clip's tokens finds what its teacher says of all of them.

After SOfA (arXiv 2609.07078), which has no public code. The teacher is a slow copy of the student. Two things
are to be found: the teacher's canonical slots, and to which prototypes it assigns the clip's class token
(DINO, Caron et al., ICCV 2021; Sinkhorn-Knopp, KoLeo and their weights as in DINOv2, Oquab et al., 2023).
Where the publication leaves a choice, our reading is an option of :class:`SOFA` and says so.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinelex.encoders import Encoder
from kinelex.encoders.base import present_persons, with_somebody
from kinelex.encoders.slots import SlotTransformer
from kinelex.errors import InputError, check_name
from kinelex.losses import entropy, gather, koleo, mean_over_processes, sinkhorn
from kinelex.methods.base import Encoders, Method, StepInput, StepOutput, encoders_by_stream
from kinelex.methods.diagnostics import prototype_warnings
from kinelex.methods.momentum import follow
from kinelex.methods.projector import projector
from kinelex.methods.registry import register

CANONICAL, KEEP = ("standardised", "cosine"), ("teacher", "student")


class Branch(nn.Module):
    """Encoder, head of the class token and prototypes: the student, and the teacher that follows it."""

    def __init__(self, encoder: SlotTransformer, hidden: int, dim: int, prototypes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = projector(encoder.dim, hidden, dim)
        self.prototypes = nn.Parameter(F.normalize(torch.randn(prototypes, dim), dim=1))

    def forward(
        self, x: Tensor, present: Tensor, share: float, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Class tokens (N, D), averaged over those present (N, M), and slots (N, M, S, J, D) of all."""
        body = self.encoder.body(self.encoder.normed_persons(x), share, generator)
        summary, slots = (value.unflatten(0, present.shape).float() for value in body)
        with torch.autocast(x.device.type, enabled=False):  # which would round the mean, and leave it rounded
            return mean_present(summary, present), slots

    def similarities(self, summary: Tensor) -> Tensor:
        """Cosines of class tokens (N, V, D) and prototypes: (N, V, K)."""
        return F.normalize(self.head(summary), dim=-1) @ F.normalize(self.prototypes, dim=1).T


def mean_present(x: Tensor, present: Tensor) -> Tensor:
    """The mean over the persons who are present: (N, M, …) by (N, M) to (N, …)."""
    weights = present / present.sum(dim=1, keepdim=True)
    return torch.einsum("nm...,nm->n...", x, weights)


@register
class SOFA(Method):
    """The method: student, teacher, prototypes. The start of an epoch sets the teacher's momentum.

    Args:
        encoder: an encoder with slots to teach.
        stream: the stream that the encoder reads, as ``x`` is.
        visible: share of the tokens that the student sees.
        prototypes: prototypes K.
        dim, hidden: size of the space of the prototypes, and of the hidden layer before it. (ours)
        momentum: share of itself that the teacher keeps in a step of the first epoch; it grows to 1 along a
            half cosine over the epochs.
        temperature, teacher_temperature: τ of the student's and of the teacher's assignments. (DINOv2's)
        iterations: of Sinkhorn-Knopp. (DINOv2's)
        canonical: how far slots are apart. ``standardised``: squared distance of what a head of the
            student's makes of them to the teacher's, whose dimensions have mean 0 and variance 1 over the
            batch, so that 1 is a guess; ``cosine``: 1 - cosine to the teacher's as they are. (our reading)
        canonical_weight, dino_weight, koleo_weight: weights of the three losses. (the first is our reading)
        views: augmentations of a clip per step. With 2 a student's prototypes are those of both views of its
            teacher, and slots are compared within a view, where steps in time belong together. (our reading)
        keep: whose encoder the run has: the ``teacher``'s, which sees whole clips, or the ``student``'s.

    Raises:
        InputError: an encoder without slots, or an option out of range.
    """

    name = "sofa"
    needs_epochs = True

    def __init__(
        self,
        encoder: Encoders,
        stream: str = "joint",
        visible: float = 0.1,
        prototypes: int = 1024,
        dim: int = 128,
        hidden: int = 512,
        momentum: float = 0.994,
        temperature: float = 0.1,
        teacher_temperature: float = 0.07,
        iterations: int = 3,
        canonical: str = "standardised",
        canonical_weight: float = 1.0,
        dino_weight: float = 1.0,
        koleo_weight: float = 0.1,
        views: int = 2,
        keep: str = "teacher",
    ) -> None:
        super().__init__()
        check_name("canonical", canonical, CANONICAL)
        check_name("keep", keep, KEEP)
        sizes, weights = (prototypes, dim, hidden, iterations), (canonical_weight, dino_weight, koleo_weight)
        if views not in (1, 2) or min(sizes) < 1 or prototypes < 2:
            got = f"{views}, {', '.join(map(str, sizes))}"
            raise InputError(f"sofa expects views of 1 or 2, sizes above 0, at least 2 prototypes, got {got}")
        if not (0 < visible <= 1 and 0 <= momentum <= 1 and min(temperature, teacher_temperature) > 0):
            got = f"{visible}, {momentum}, {temperature} and {teacher_temperature}"
            limits = "visible above 0 and up to 1, momentum from 0 to 1, temperatures above 0"
            raise InputError(f"sofa expects {limits}, got {got}")
        if not 0 <= min(weights) <= max(weights) < math.inf:
            raise InputError(f"sofa expects weights of at least 0, got {', '.join(map(str, weights))}")
        (self.stream, slots), *more = encoders_by_stream(encoder, (stream,))
        if more or not isinstance(slots, SlotTransformer):
            got = ", ".join(getattr(one, "name", type(one).__name__) for one in (slots, *dict(more).values()))
            raise InputError(f"sofa expects one encoder with slots (encoder.name=slots), got {got}")
        self.student = Branch(slots, hidden, dim, prototypes)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False).eval()
        self.predictor = projector(slots.dim, hidden, slots.dim)
        self.visible, self.first_momentum, self.momentum = visible, momentum, momentum
        self.temperature, self.teacher_temperature = temperature, teacher_temperature
        self.iterations, self.canonical, self.weights = iterations, canonical, weights
        self.views, self.keep = views, keep

    @property
    def encoders(self) -> dict[str, Encoder]:
        """The encoder that is kept, under the name of the stream it reads."""
        return {self.stream: (self.teacher if self.keep == "teacher" else self.student).encoder}

    def on_epoch_start(self, epoch: int, epochs: int) -> None:
        """Set the momentum for the epoch."""
        super().on_epoch_start(epoch, epochs)
        left = (1 + math.cos(math.pi * epoch / epochs)) / 2
        self.momentum = 1 - (1 - self.first_momentum) * left

    def train(self, mode: bool = True) -> SOFA:
        super().train(mode)
        self.teacher.eval()
        return self

    def step(self, batch: StepInput) -> StepOutput:
        """Loss of a batch and what to log; the teacher follows first."""
        present = with_somebody(present_persons(batch.x))
        with torch.no_grad():
            follow(self.teacher, self.student, self.momentum)
            known, slots = self.teacher(batch.x, present, 1.0)
        summary, found = self.student(batch.x, present, self.visible, batch.generator)
        predicted = self.predictor(found)
        with torch.autocast(batch.x.device.type, enabled=False):  # similarities over τ need full precision
            canonical = self._canonical(predicted.float(), slots, present)
            # (N, V, D) of all processes: clips, views
            views = (gather(torch.stack(s.chunk(self.views), dim=1)) for s in (summary, known))
            return self._loss(canonical, *views)

    def _canonical(self, predicted: Tensor, slots: Tensor, present: Tensor) -> Tensor:
        """The canonical loss of slots (N, M, S, J, D), a mean over clips and those present in them."""
        if self.canonical == "cosine":
            return mean_present(1 - F.cosine_similarity(predicted, slots, dim=-1), present).mean()
        target = slots - mean_over_processes(mean_present(slots, present).mean(dim=(0, 1)))  # less (J, D)
        variance = mean_over_processes(mean_present(target.square(), present).mean(dim=(0, 1)))
        target = target * variance.clamp(min=1e-6).rsqrt()
        return mean_present((predicted - target).square(), present).mean()

    def _loss(self, canonical: Tensor, summary: Tensor, known: Tensor) -> StepOutput:
        """The loss of class tokens (N, V, D) of student and teacher, and what to log."""
        guesses = self.student.similarities(summary) / self.temperature
        with torch.no_grad():
            scores = self.teacher.similarities(known) / self.teacher_temperature
            target = torch.stack([sinkhorn(view, self.iterations) for view in scores.unbind(1)]).mean(dim=0)
        p = guesses.log_softmax(dim=2)
        dino = -(target[:, None] * p).sum(dim=2).mean()
        spread = torch.stack([koleo(F.normalize(view, dim=1)) for view in summary.unbind(1)]).mean()
        canonical = mean_over_processes(canonical)
        parts = {"canonical": canonical, "dino": dino, "koleo": spread}
        loss = torch.stack([w * v for w, v in zip(self.weights, parts.values(), strict=True)]).sum()
        logs = {f"loss/{name}": value.detach() for name, value in parts.items()}
        n, k = target.shape
        used = torch.zeros(k, device=target.device).index_fill_(0, target.argmax(dim=1), 1.0).sum()
        logs["prototype_entropy"] = entropy(p.detach().exp().flatten(0, 1))
        logs["target_entropy"] = entropy(target)
        logs["uniform_entropy"] = torch.tensor(math.log(k))
        logs["prototypes_used"] = used / min(n, k)
        return StepOutput(loss, logs | {"momentum": torch.tensor(self.momentum)})

    def warnings(self, history: list[dict[str, float]]) -> list[str]:
        """Signs of collapse, if the epochs so far show them."""
        return prototype_warnings(history)
