"""A run as one graph: raw frames in, what ``predict`` says of them out, with the preparation inside."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinelex.data.batch import Batch
from kinelex.inference.heads import LinearHead, NearestHead, TextHead
from kinelex.inference.known_clips import KnownClips
from kinelex.inference.model import Model
from kinelex.training.encoder_files import SkeletonEncoder


class RunGraph(nn.Module):
    """The run's own transforms, encoders and head in torch, for clips that are all of one length.

    Args:
        model: the run and what tells the classes.
        encoders: its encoders by stream, for clips of the layout wanted.
        persons: how many persons the run has places for; those beyond are left out.
        classes: give scores and probabilities of the classes beside the features.
        known: clips that the model knows, where they are to be in the graph.

    Shape:
        - frames: (N, T, M, V, C), coordinates in metres (2-D: as the run was trained), any N, T and M
        - presence: (N, T, M, V) bool, which joints are there; joints at 0 are not, as in a skeleton store
        - fps: (N,) float64, frames per second, for runs that resample to one rate
        - returns: features (N, F), and with ``classes`` scores and probabilities (N, classes), and with
          ``known`` their cosine with a near one of these clips (N,)
    """

    def __init__(
        self,
        model: Model,
        encoders: dict[str, SkeletonEncoder],
        persons: int,
        classes: bool,
        known: KnownClips | None = None,
    ) -> None:
        super().__init__()
        self.encoders, self.persons = nn.ModuleDict(encoders), persons
        self.temperature = model.calibration.temperature
        self.head = _head(model) if classes else None
        self.known = None if known is None else _Known(known)

    def forward(self, frames: Tensor, presence: Tensor, fps: Tensor | None = None) -> tuple[Tensor, ...]:
        batch = self.batch(frames, presence, fps)
        features = {}
        for stream, encoder in self.encoders.items():
            assert isinstance(encoder, SkeletonEncoder)
            features[stream] = encoder(encoder.pipeline(batch))
        joined = _joined(list(features.values()))
        if self.head is None:
            return (joined,)
        scores = self.head(features)
        said = joined, scores, torch.softmax(scores / self.temperature, dim=1)
        return said if self.known is None else (*said, self.known(joined))

    def batch(self, frames: Tensor, presence: Tensor, fps: Tensor | None) -> Batch:
        """The clips as the transforms take them: whole, with as many persons as there are places."""
        n, t, _, v, c = frames.shape
        x = torch.where(presence[..., None], frames, 0)
        x = torch.cat([x, x.new_zeros(n, t, self.persons, v, c)], dim=2)[:, :, : self.persons]
        x = x.permute(0, 4, 1, 3, 2).contiguous()  # (N, C, T, V, M)
        numbers = torch.zeros(n, dtype=torch.long)
        ragged = x.transpose(1, 2).contiguous().flatten(0, 1)
        there = (x != 0).any(dim=1, keepdim=True)
        return Batch(numbers + t, numbers, numbers, ragged, x, there, fps)


def _joined(features: list[Tensor]) -> Tensor:
    """As :func:`kinelex.inference.fusion.joined`."""
    return features[0] if len(features) == 1 else torch.cat([F.normalize(f, dim=1) for f in features], dim=1)


def _head(model: Model) -> nn.Module:
    head = model.head
    if isinstance(head, LinearHead):
        return _Linear(head)
    if isinstance(head, NearestHead):
        return _Nearest(head)
    assert isinstance(head, TextHead)
    return _Texts(head)


class _Linear(nn.Module):
    """As :class:`LinearHead`."""

    def __init__(self, head: LinearHead) -> None:
        super().__init__()
        for name, values in head.arrays().items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32))  # read-only arrays too
        self.streams, self.standardised = tuple(head.weights), set(head.means)

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        alone = []
        for stream in self.streams:
            x, part = features[stream], {n: getattr(self, f"{n}-{stream}") for n in ("weights", "biases")}
            if stream in self.standardised:
                x = (x - getattr(self, f"means-{stream}")) / getattr(self, f"scales-{stream}")
            alone.append(F.linear(x, part["weights"], part["biases"]))
        if len(alone) == 1:
            return alone[0]
        return torch.stack([s.softmax(dim=1) for s in alone]).mean(dim=0).clamp(min=1e-30).log()


class _Nearest(nn.Module):
    """As :class:`NearestHead`."""

    def __init__(self, head: NearestHead) -> None:
        super().__init__()
        self.streams = head.streams
        order = head.labels.argsort(kind="stable")  # the examples of a class stand together
        self.counts = [int((head.labels == label).sum()) for label in range(len(head.classes))]
        self.bank: Tensor
        bank = torch.as_tensor(head.bank[order], dtype=torch.float32)
        self.register_buffer("bank", F.normalize(bank, dim=1))

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        query = F.normalize(_joined([features[stream] for stream in self.streams]), dim=1)
        return torch.stack([c.amax(dim=1) for c in (query @ self.bank.T).split(self.counts, dim=1)], dim=1)


class _Known(nn.Module):
    """As :class:`KnownClips`."""

    def __init__(self, known: KnownClips) -> None:
        super().__init__()
        self.k = known.k
        self.rows: Tensor
        self.mean: Tensor
        self.squares: Tensor
        for name in ("rows", "mean", "squares"):
            values = getattr(known.rows, name)
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32))  # read-only arrays too

    def forward(self, features: Tensor) -> Tensor:
        apart = F.normalize(features, dim=1) - self.mean  # what is large and common is left out of products
        squares = apart.square().sum(dim=1, keepdim=True)
        return (1 - (self.squares + squares) / 2 + apart @ self.rows.T).topk(self.k, dim=1).values[:, -1]


class _Texts(nn.Module):
    """As :class:`TextHead`."""

    def __init__(self, head: TextHead) -> None:
        super().__init__()
        self.space = head.space
        self.texts: Tensor
        self.register_buffer("texts", F.normalize(torch.as_tensor(head.texts, dtype=torch.float32), dim=1))

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        (own,) = features.values()
        return self.space.embed("skeleton", own) @ self.texts.T
