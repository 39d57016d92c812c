"""CMD: joint, motion and bone streams teach each other where their clips' neighbours lie.

Mao et al., "CMD: Self-supervised 3D Action Representation Learning with Cross-Modal Mutual Distillation",
ECCV 2022, arXiv 2208.12448. Each stream is a MoCo branch: a query encoder, a key encoder that follows it
slowly, a queue of earlier keys. Given the published weights, a step computes the published values. Keys of
all processes enter the queue, and streams and encoder are options.
"""

import copy
import itertools
import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinelex.encoders import Encoder
from kinelex.errors import InputError, check_name
from kinelex.losses import (
    MINING,
    check_room,
    contrastive_accuracy,
    enqueue,
    gather,
    mean_over_processes,
    mutual_distillation,
    neighbour_targets,
    new_queue,
    queue_info_nce,
    queue_similarities,
)
from kinelex.losses.mutual_distillation import COLDEST
from kinelex.methods.base import Encoders, Method, StepInput, StepOutput, encoders_by_stream
from kinelex.methods.diagnostics import queue_warnings
from kinelex.methods.momentum import follow
from kinelex.methods.projector import projector
from kinelex.methods.registry import register
from kinelex.skeleton import make_stream


class Branch(nn.Module):
    """Encoder and MLP head of one stream."""

    def __init__(self, encoder: Encoder, dim: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = projector(encoder.num_features, encoder.num_features, dim)
        nn.init.xavier_uniform_(self.head[-1].weight)  # type: ignore[arg-type]  # published

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings (N, D), L2-normalised."""
        return self.embed(self.encoder(x))

    def embed(self, features: Tensor) -> Tensor:
        """Embeddings (N, D) of features (N, F)."""
        return F.normalize(self.head(features).float(), dim=1)


@register
class CMD(Method):
    """The method: query and key branches, queues, instance loss and mutual distillation.

    Args:
        encoder: an encoder for each stream, by name; of a single one each of ``streams`` gets a copy.
        streams: the streams that learn together, any of ``joint``, ``motion``, ``bone``, ``bone_motion``;
            they are derived from the joints inside.
        dim: embedding size D.
        queue: keys K that each stream remembers. (Longer than the training part, a queue holds keys of the
            same clip from earlier epochs, as negatives.)
        momentum: share of itself that a key encoder keeps in a step.
        temperature: τ of the instance loss.
        teacher_temperature, student_temperature: τ of the targets, and of the predictions, at least 0.03.
        top_k: neighbours in the queue that the distillation looks at.
        distillation: weight of the distillation; 0 trains the streams apart, as plain MoCo branches, and
            costs nothing.
        mining: ``none`` is the paper's soft target; ``top`` makes the nearest neighbours positives, evenly,
            as CrosSCLR does: the paper's degenerate case, for comparison.
        positives: neighbours that ``mining: top`` takes.

    Raises:
        InputError: an unknown stream or ``mining``, or an option out of range.
    """

    name = "cmd"
    derives_streams = True
    views = 2  # the query's and the key's

    def __init__(
        self,
        encoder: Encoders,
        streams: tuple[str, ...] = ("joint", "motion", "bone"),
        dim: int = 128,
        queue: int = 16384,
        momentum: float = 0.999,
        temperature: float = 0.07,
        teacher_temperature: float = 0.05,
        student_temperature: float = 0.1,
        top_k: int = 8192,
        distillation: float = 1.0,
        mining: str = "none",
        positives: int = 1,
    ) -> None:
        super().__init__()
        check_name("mining", mining, MINING)
        if min(dim, queue) < 1:
            raise InputError(f"cmd expects dim and queue of at least 1, got {dim} and {queue}")
        if distillation and not 1 <= positives <= top_k <= queue:
            raise InputError(
                f"cmd expects 1 ≤ positives ≤ top_k ≤ queue, got positives={positives}, top_k={top_k}, "
                f"queue={queue}: set method.top_k, half of the queue in the paper"
            )
        if not (temperature > 0 and teacher_temperature > 0 and student_temperature >= COLDEST):
            got = f"{temperature}, {teacher_temperature} and {student_temperature}"
            limits = f"temperatures above 0 and student_temperature at least {COLDEST}"
            raise InputError(f"cmd expects {limits}, got {got}")
        if not (0 <= momentum <= 1 and 0 <= distillation < math.inf):
            limits = "momentum from 0 to 1 and distillation at least 0"
            raise InputError(f"cmd expects {limits}, got {momentum} and {distillation}")
        self.query = nn.ModuleDict({s: Branch(e, dim) for s, e in encoders_by_stream(encoder, streams)})
        self.streams = tuple(self.query)
        if not self.streams:
            raise InputError("cmd expects at least one stream, got none")
        self.key = copy.deepcopy(self.query).requires_grad_(False)
        self.layout = next(iter(self.encoders.values())).layout
        self.queue: Tensor
        self.pointer: Tensor
        self.register_buffer("queue", new_queue(len(self.streams), dim, queue))  # (S, D, K)
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))
        self.momentum, self.temperature = momentum, temperature
        self.teacher_temperature, self.student_temperature = teacher_temperature, student_temperature
        self.top_k, self.mining, self.positives = top_k, mining, positives
        self.distillation = distillation if len(self.streams) > 1 else 0.0

    @property
    def encoders(self) -> dict[str, Encoder]:
        """The query encoders by stream."""
        return {stream: cast(Branch, branch).encoder for stream, branch in self.query.items()}

    def check_step(self, clips: int) -> None:
        """Raise an InputError where the queue is shorter than a step has clips."""
        check_room(clips, self.queue.shape[2])

    def step(self, batch: StepInput) -> StepOutput:
        """Loss of a batch and what to log; the key encoders follow and the new keys enter the queues."""
        first, second = batch.x.chunk(2)
        presence = (None, None) if batch.presence is None else batch.presence.chunk(2)
        queries = self._embed(self.query, first, presence[0])
        with torch.no_grad():
            follow(self.key, self.query, self.momentum)
            keys = self._embed(self.key, second, presence[1])
        with torch.autocast(first.device.type, enabled=False):  # similarities over τ need full precision
            # the queue changes below, before the backward pass reads it
            output = self._loss(queries, keys, self.queue.clone())
            enqueue(self.queue, self.pointer, gather(keys.transpose(0, 1).contiguous()).transpose(0, 1))
        return output

    def _embed(self, branches: nn.ModuleDict, x: Tensor, presence: Tensor | None) -> Tensor:
        """Embeddings (S, N, D) of joint coordinates."""
        return torch.stack(
            [branch(make_stream(x, self.layout, stream, presence)) for stream, branch in branches.items()]
        )

    def _loss(self, queries: Tensor, keys: Tensor, queue: Tensor) -> StepOutput:
        """The loss of embeddings (S, N, D) against the queue before they enter it, and what to log."""
        positive, negative = queue_similarities(queries, keys, queue)
        instance = queue_info_nce(positive, negative, self.temperature)
        loss = instance.sum()
        values = {f"loss/{s}": v for s, v in zip(self.streams, instance.detach(), strict=True)}
        accuracy = contrastive_accuracy(positive.detach(), negative.detach())
        values |= {f"accuracy/{s}": v for s, v in zip(self.streams, accuracy, strict=True)}
        if self.distillation:
            taught = neighbour_targets(
                keys @ queue, self.top_k, self.teacher_temperature, self.mining, self.positives
            )
            pairs = mutual_distillation(negative, taught, self.student_temperature)
            loss = loss + self.distillation * pairs.sum()
            for (u, teacher), (w, student) in itertools.permutations(enumerate(self.streams), 2):
                values[f"distillation/{teacher}_{student}"] = pairs[u, w].detach()
            entropy = taught.entropy.mean(dim=1)
            values |= {f"teacher_entropy/{s}": v for s, v in zip(self.streams, entropy, strict=True)}
        means = mean_over_processes(torch.stack([loss, *values.values()]))
        return StepOutput(means[0], dict(zip(values, means[1:].detach(), strict=True)))

    def warnings(self, history: list[dict[str, float]]) -> list[str]:
        """Signs that a stream learns or teaches nothing, if the epochs so far show them."""
        top_k = self.top_k if self.mining == "none" else None
        return queue_warnings(history, self.streams, self.queue.shape[2], top_k)
