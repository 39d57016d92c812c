"""SkeletonCLR and AimCLR: views of a clip agree against a queue of others; strong views follow plain ones.

SkeletonCLR is MoCo on one stream of skeletons (the baseline of Li et al., CrosSCLR, CVPR 2021, arXiv
2104.14087). AimCLR (Guo et al., "Contrastive Learning from Extremely Augmented Skeleton Sequences for
Self-supervised Action Recognition", AAAI 2022, arXiv 2112.03590) adds a view that is augmented much more, and
the same with features dropped where attention is high. Neither is contrasted: they only have to find similar
what the ordinary view does. Later the nearest keys of the queue become positives. Differs from the published
code in that keys of all processes enter the queue, and in how features are dropped (see attention_drop).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from kinelex.data.batch import Batch
from kinelex.encoders import Encoder
from kinelex.encoders.base import present_persons, with_somebody
from kinelex.errors import InputError
from kinelex.losses import (
    check_room,
    contrastive_accuracy,
    enqueue,
    gather,
    mean_over_processes,
    new_queue,
    queue_divergence,
    queue_info_nce,
    queue_similarities,
)
from kinelex.methods.base import Encoders, Method, StepInput, StepOutput, encoders_by_stream
from kinelex.methods.cmd import Branch
from kinelex.methods.diagnostics import mining_warnings, queue_warnings
from kinelex.methods.momentum import follow
from kinelex.methods.registry import register
from kinelex.skeleton import joint_presence
from kinelex.transforms import PRESETS, Compose
from kinelex.transforms.base import clips_of, listed

ENERGY_FLOOR = 1e-4  # λ of SimAM


@register
class SkeletonCLR(Method):
    """The method: query and key branch, queue, InfoNCE.

    Args:
        encoder: the encoder, or one for the stream that it reads, by name.
        stream: the stream that a single encoder reads, as ``x`` is.
        dim: embedding size D.
        queue: keys K that are remembered. (Longer than the training part, a queue holds keys of the same clip
            from earlier epochs, as negatives.)
        momentum: share of itself that the key branch keeps in a step.
        temperature: τ of all similarities.

    Raises:
        InputError: an option out of range, or several encoders.
    """

    name = "skeletonclr"
    views = 2  # the query's and the key's

    def __init__(
        self,
        encoder: Encoders,
        stream: str = "joint",
        dim: int = 128,
        queue: int = 32768,
        momentum: float = 0.999,
        temperature: float = 0.07,
    ) -> None:
        super().__init__()
        if min(dim, queue) < 1 or not (0 <= momentum <= 1 and temperature > 0):
            limits = "dim and queue of at least 1, momentum from 0 to 1 and a temperature above 0"
            got = f"{dim}, {queue}, {momentum} and {temperature}"
            raise InputError(f"{self.name} expects {limits}, got {got}")
        pairs = dict(encoders_by_stream(encoder, (stream,)))
        if len(pairs) != 1:
            raise InputError(f"{self.name} teaches one encoder, got {', '.join(pairs)}")
        (self.stream, network), *_ = pairs.items()
        self.query = Branch(network, dim)
        self.key = copy.deepcopy(self.query).requires_grad_(False)
        self.queue: Tensor
        self.pointer: Tensor
        self.register_buffer("queue", new_queue(1, dim, queue))  # (1, D, K)
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))
        self.momentum, self.temperature = momentum, temperature

    @property
    def encoders(self) -> dict[str, Encoder]:
        """The query encoder by its stream."""
        return {self.stream: self.query.encoder}

    def check_step(self, clips: int) -> None:
        """Raise an InputError where the queue is shorter than a step has clips."""
        check_room(clips, self.queue.shape[2])

    def step(self, batch: StepInput) -> StepOutput:
        """Loss of a batch and what to log; the key branch follows and the new keys enter the queue."""
        queries = self._queries(batch)  # (S, N, D), of S views
        with torch.no_grad():
            follow(self.key, self.query, self.momentum)
            key = self.key(batch.x.chunk(self.views)[1])[None]
        with torch.autocast(batch.x.device.type, enabled=False):  # similarities over τ need full precision
            # the queue changes below, before the backward pass reads it
            queue = self.queue.clone().expand(len(queries), -1, -1)
            positive, negative = queue_similarities(queries, key.expand_as(queries), queue)
            terms = self._terms(positive, negative)
            accuracy = contrastive_accuracy(positive[:1].detach(), negative[:1].detach())[0]
            loss = torch.stack([*terms.values()]).sum()
            values = {**terms, f"accuracy/{self.stream}": accuracy}
            means = mean_over_processes(torch.stack([loss, *values.values()]))
            enqueue(self.queue, self.pointer, gather(key[0])[None])
        return StepOutput(means[0], dict(zip(values, means[1:].detach(), strict=True)))

    def _queries(self, batch: StepInput) -> Tensor:
        """Embeddings (S, N, D) of the views that a gradient reaches."""
        return self.query(batch.x.chunk(self.views)[0])[None]

    def _terms(self, positive: Tensor, negative: Tensor) -> dict[str, Tensor]:
        """The terms of the loss, of similarities (S, N) and (S, N, K)."""
        return {f"loss/{self.stream}": queue_info_nce(positive, negative, self.temperature)[0]}

    def warnings(self, history: list[dict[str, float]]) -> list[str]:
        """Signs that nothing is learned, if the epochs so far show them."""
        return queue_warnings(history, (self.stream,), self.queue.shape[2], None)


def attention_drop(features: Tensor, share: float, generator: torch.Generator | None = None) -> Tensor:
    """Features that are 0 at some frames and joints, the more likely the more attention is there.

    A number of a channel that stands out from the others of its channel has a low energy e (SimAM, Yang et
    al., ICML 2021): 1/e = (f - μ)² / 4(σ² + λ) + ½. The attention at a place is the mean of 1/e over the
    channels; the chance to be dropped goes with it. What stays is scaled up, so that means stay as they are.

    Args:
        share: share of the places that is dropped on average, a fraction of 1.
        generator: source of randomness (on the CPU).

    Shape:
        - features: (N, M, F, T, V); returns: the same; a place is a frame of a joint of a person

    Source: AimCLR, energy-based attention-guided drop module. That places are drawn by chance, and by which,
    is our reading.

    >>> kept = attention_drop(torch.ones(2, 1, 4, 10, 10), 0.3, torch.Generator().manual_seed(0))
    >>> round(kept.mean().item(), 3), 0.6 < (kept > 0).float().mean().item() < 0.8
    (1.0, True)
    """
    f = features.detach().float()
    apart = (f - f.mean(dim=(3, 4), keepdim=True)).square()
    variance = apart.sum(dim=(3, 4), keepdim=True) / max(1, f.shape[3] * f.shape[4] - 1)
    attention = (apart / (4 * (variance + ENERGY_FLOOR)) + 0.5).mean(dim=2, keepdim=True)  # (N, M, 1, T, V)
    chance = share * attention / attention.mean(dim=(3, 4), keepdim=True)
    draws = torch.rand(chance.shape, generator=generator).to(f.device, non_blocking=True)
    kept = (draws >= chance).float()
    kept = kept / kept.mean(dim=(3, 4), keepdim=True).clamp(min=1e-6)
    return features * kept.to(features.dtype)


@register
class AimCLR(SkeletonCLR):
    """The method: SkeletonCLR with extreme views, dropped features and mined positives.

    Args:
        encoder, stream, dim, queue, momentum, temperature: as in :class:`SkeletonCLR`.
        extreme: what the third view has beside the input's own augmentation, as ``input.augment`` lists it:
            names of transforms and presets, and mappings with a ``name`` and options. They change the stream
            that the encoder reads.
        divergence: weight of the mean divergence of the extreme views from the ordinary one.
        drop: share of the extreme view's features that is dropped for another view; 0 leaves that one out.
            (its value is our reading)
        neighbours: keys of the queue, nearest to each view, that become positives of the ordinary one.
        mine_from: share of the epochs after which they do; 1 is never.

    Raises:
        InputError: an option out of range, or an encoder that has put frames and joints together.
    """

    name = "aimclr"
    views = 3
    needs_epochs = True

    def __init__(
        self,
        encoder: Encoders,
        stream: str = "joint",
        dim: int = 128,
        queue: int = 32768,
        momentum: float = 0.999,
        temperature: float = 0.07,
        extreme: tuple[Any, ...] = ("aimclr_extreme",),
        divergence: float = 1.0,
        drop: float = 0.3,
        neighbours: int = 1,
        mine_from: float = 0.5,
    ) -> None:
        super().__init__(encoder, stream, dim, queue, momentum, temperature)
        if not (0 <= divergence < torch.inf and 0 <= drop < 1 and 0 <= mine_from <= 1):
            limits = "divergence of at least 0, drop below 1 and mine_from from 0 to 1"
            raise InputError(f"aimclr expects {limits}, got {divergence}, {drop} and {mine_from}")
        if not 1 <= neighbours <= queue:
            raise InputError(f"aimclr expects neighbours from 1 to the queue's {queue}, got {neighbours}")
        transforms = listed(extreme, PRESETS)
        if any(t.chooses_frames for t in transforms):
            raise InputError(
                "method.extreme changes frames that are chosen: choose them in the input section"
            )
        self.extreme = Compose(transforms, self.query.encoder.layout)
        self.divergence, self.drop, self.neighbours = divergence, drop, neighbours
        self.mine_from, self.mining = mine_from, False

    @classmethod
    def also_uses(cls, options: Mapping[str, Any]) -> Iterable[Any]:
        return listed(options.get("extreme", ()), PRESETS)

    def on_epoch_start(self, epoch: int, epochs: int) -> None:
        """Decide whether neighbours are positives in the epoch."""
        super().on_epoch_start(epoch, epochs)
        self.mining = epoch >= self.mine_from * epochs

    def _queries(self, batch: StepInput) -> Tensor:
        x = batch.x.chunk(self.views)[2]
        there = joint_presence(x) if batch.presence is None else batch.presence.chunk(self.views)[2]
        frames = torch.full((len(x),), x.shape[2], device=x.device)
        generator = batch.generator or torch.default_generator
        with torch.autocast(x.device.type, enabled=False):  # coordinates keep their precision
            clips = Batch(frames, batch.labels, torch.arange(len(x)), x=x, presence=there)
            x, _ = clips_of(self.extreme(clips, generator))
        features = self.query.encoder.forward_features(x)  # (N, M, F, T', V')
        seen = [features]
        if self.drop:
            if features.shape[3] * features.shape[4] == 1:
                raise InputError(
                    f"aimclr drops frames and joints, which the encoder {self.query.encoder.name} has put "
                    "together: take another, such as stgcn or transformer, or method.drop=0"
                )
            seen.append(attention_drop(features, self.drop, batch.generator))
        strong = [self.query.embed(self._pooled(x, values)) for values in seen]
        return torch.cat([super()._queries(batch), torch.stack(strong)])

    def _pooled(self, x: Tensor, features: Tensor) -> Tensor:
        """The mean over frames and joints, then over persons, as the encoder's own."""
        encoder = self.query.encoder
        return encoder.pooled(features, with_somebody(present_persons(x)) if encoder.present_only else None)

    def _terms(self, positive: Tensor, negative: Tensor) -> dict[str, Tensor]:
        mined = None
        if self.mining:
            slots = negative.topk(self.neighbours, dim=2, sorted=False).indices
            near = torch.zeros_like(negative, dtype=torch.bool).scatter_(2, slots, True)
            mined = near.any(dim=0, keepdim=True)  # of all views
        instance = queue_info_nce(positive[:1], negative[:1], self.temperature, mined)[0]
        apart = queue_divergence(positive, negative, self.temperature)
        weighted = (self.divergence / len(apart)) * apart
        names = ("loss/extreme", "loss/dropped")[: len(apart)]
        return {f"loss/{self.stream}": instance, **dict(zip(names, weighted, strict=True))}

    def warnings(self, history: list[dict[str, float]]) -> list[str]:
        """Signs that nothing is learned, or only what mining makes of it, if the epochs so far show them."""
        return super().warnings(history) + mining_warnings(history, self.stream)
