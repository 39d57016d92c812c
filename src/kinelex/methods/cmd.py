"""CMD: joint, motion and bone streams teach each other where their clips' neighbours lie.

Mao et al., "CMD: Self-supervised 3D Action Representation Learning with Cross-Modal Mutual Distillation",
ECCV 2022, arXiv 2208.12448. Each stream is a MoCo branch: a query encoder, a key encoder that follows it
slowly, a queue of earlier keys. Given the published weights, a step computes the published values. Differs
from the published code in that keys of all processes enter the queue, that the streams' losses are computed
together, and that streams and encoder are options.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinelex.data.batch import Batch
from kinelex.encoders import Encoder
from kinelex.errors import InputError, unknown_name
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
from kinelex.methods.base import Method
from kinelex.methods.projector import projector
from kinelex.skeleton import STREAMS, make_stream


class Branch(nn.Module):
    """Encoder and MLP head of one stream."""

    def __init__(self, encoder: Encoder, dim: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = projector(encoder.num_features, encoder.num_features, dim)
        nn.init.xavier_uniform_(self.head[-1].weight)  # type: ignore[arg-type]  # published

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings (N, D), L2-normalised."""
        return F.normalize(self.head(self.encoder(x)).float(), dim=1)


class CMD(Method):
    """The method: query and key branches, queues, instance loss and mutual distillation.

    Args:
        make_encoder: makes an encoder with fresh weights; called once per stream.
        streams: the streams that learn together, any of ``joint``, ``motion``, ``bone``, ``bone_motion``;
            they are derived from the joints inside.
        dim: embedding size D.
        queue: keys K that each stream remembers. (Longer than the training part, a queue holds keys of the
            same clip from earlier epochs, as negatives.)
        momentum: share of itself that a key encoder keeps in a step.
        temperature: τ of the instance loss.
        teacher_temperature: τ of the targets.
        student_temperature: τ of the predictions, at least 0.03.
        top_k: neighbours in the queue that the distillation looks at.
        distillation: weight of the distillation; 0 trains the streams apart, as plain MoCo branches, and
            costs nothing.
        mining: ``none`` is the paper's soft target; ``top`` makes the nearest neighbours positives, evenly,
            as CrosSCLR does: the paper's degenerate case, for comparison.
        positives: neighbours that ``mining: top`` takes.

    Raises:
        InputError: an unknown stream or ``mining``, or an option out of range.
    """

    views = 2  # the query's and the key's

    def __init__(
        self,
        make_encoder: Callable[[], Encoder],
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
        for stream in streams:
            if stream not in STREAMS:
                raise unknown_name("stream", stream, STREAMS)
        if mining not in MINING:
            raise unknown_name("mining", mining, MINING)
        if not streams or len(set(streams)) < len(streams) or min(dim, queue) < 1:
            raise InputError(
                "cmd expects at least one stream and none twice, dim and queue at least 1, "
                f"got streams={list(streams)}, dim={dim}, queue={queue}"
            )
        if distillation and not 1 <= positives <= top_k <= queue:
            raise InputError(
                f"cmd expects 1 ≤ positives ≤ top_k ≤ queue, got positives={positives}, top_k={top_k}, "
                f"queue={queue}: set method.top_k, half of the queue in the paper"
            )
        if not (temperature > 0 and teacher_temperature > 0 and student_temperature >= COLDEST):
            raise InputError(
                f"cmd expects temperatures above 0 and student_temperature at least {COLDEST}, got "
                f"{temperature}, {teacher_temperature} and {student_temperature}"
            )
        if not (0 <= momentum <= 1 and 0 <= distillation < math.inf):
            raise InputError(
                "cmd expects momentum from 0 to 1 and distillation at least 0, "
                f"got {momentum} and {distillation}"
            )
        self.streams = tuple(streams)
        self.query = nn.ModuleDict({stream: Branch(make_encoder(), dim) for stream in self.streams})
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

    def forward(
        self, x: Tensor, batch: Batch | None, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a batch and what to log; the key encoders follow and the new keys enter the queues.

        Args:
            x: joint coordinates.
            batch: the batch, for the presence of joints; by default what is 0 is missing.
            generator: source of randomness (CMD draws nothing).

        Shape:
            - x: (2·N, C, T, V, M), all clips' first views, for the queries, then their second ones.
            - returns: scalar loss; scalars by name.
        """
        first, second = x.chunk(2)
        presence = None if batch is None else batch.presence
        there = (None, None) if presence is None else presence.chunk(2)
        queries = self._embed(self.query, first, there[0])
        with torch.no_grad():
            self._follow()
            keys = self._embed(self.key, second, there[1])
        with torch.autocast(x.device.type, enabled=False):  # similarities over τ need full precision
            # the queue changes below, before the backward pass reads it
            loss, logs = self._loss(queries, keys, self.queue.clone())
            enqueue(self.queue, self.pointer, gather(keys.transpose(0, 1).contiguous()).transpose(0, 1))
        return loss, logs

    def _embed(self, branches: nn.ModuleDict, x: Tensor, presence: Tensor | None) -> Tensor:
        """Embeddings (S, N, D) of joint coordinates."""
        return torch.stack(
            [branch(make_stream(x, self.layout, stream, presence)) for stream, branch in branches.items()]
        )

    @torch.no_grad()
    def _follow(self) -> None:
        """Each key branch takes a small step towards its query branch."""
        keys: list[Tensor] = list(self.key.parameters())
        queries: list[Tensor] = list(self.query.parameters())
        torch._foreach_lerp_(keys, queries, 1 - self.momentum)

    def _loss(self, queries: Tensor, keys: Tensor, queue: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
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
        return means[0], dict(zip(values, means[1:].detach(), strict=True))

    def warnings(self, history: list[dict[str, float]]) -> list[str]:
        """Signs that a stream learns or teaches nothing, if the epochs so far show them.

        Args:
            history: the logged means of each epoch.
        """
        found: list[str] = []
        if len(history) < 5:
            return found
        last = history[-1]
        for stream in self.streams:
            if last[f"loss/{stream}"] > 0.97 * math.log(1 + self.queue.shape[2]):
                found.append(
                    f"the {stream} stream's similarities are uniform: after {len(history)} epochs its "
                    "queries find their keys no better than by chance (change the learning rate, or look at "
                    "the augmentations)"
                )
            entropy_of_targets = last.get(f"teacher_entropy/{stream}", 0.0)
            if self.mining == "none" and entropy_of_targets > 0.97 * math.log(self.top_k) > 0:
                found.append(
                    f"the {stream} stream teaches nothing: its targets are even over the {self.top_k} "
                    "neighbours (lower teacher_temperature or top_k)"
                )
        return found
