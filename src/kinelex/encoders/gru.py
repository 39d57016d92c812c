"""The recurrent encoder of CMD: three layers of paired GRUs over the flattened joints of each frame.

Mao et al., "CMD: Self-supervised 3D Action Representation Learning with Cross-Modal Mutual Distillation",
ECCV 2022, arXiv 2208.12448. The published code feeds a bidirectional GRU one frame at a time and carries its
state, so both "directions" run forward in time: each layer is two independent forward GRUs over the whole
clip, their outputs side by side. That is what is built here, without a loop over frames; given the published
weights it computes the published values. Any layout and number of persons is taken.
"""

from typing import cast

import torch
from torch import Tensor, nn

from kinelex.encoders.base import Encoder
from kinelex.encoders.gru_cpu import forward_grus
from kinelex.encoders.registry import register
from kinelex.errors import InputError, check_name
from kinelex.skeleton import SkeletonLayout


class ForwardPairs(nn.Module):
    """Layers of two independent GRUs that both run forward in time; their outputs are concatenated.

    Shape:
        - x: (T, N, width); returns: (N, 2·hidden), the outputs at the last frame; with ``largest``
          (N, layers·2·hidden), the largest over the frames of each layer.
    """

    def __init__(self, width: int, hidden: int, layers: int, largest: bool = False) -> None:
        super().__init__()
        self.largest = largest
        widths = [width] + (layers - 1) * [2 * hidden]
        self.first = nn.ModuleList(nn.GRU(w, hidden) for w in widths)
        self.second = nn.ModuleList(nn.GRU(w, hidden) for w in widths)

    def forward(self, x: Tensor) -> Tensor:
        largest = []
        for pair in zip(self.first, self.second, strict=True):
            outputs = forward_grus(cast(tuple[nn.GRU, nn.GRU], pair), x)  # (T, 2, N, H)
            x = outputs.transpose(1, 2).flatten(2)
            if self.largest:
                largest.append(x.amax(dim=0))
        return torch.cat(largest, dim=1) if self.largest else x[-1]


class BothWays(nn.GRU):
    """A true bidirectional GRU; same input and output shape as :class:`ForwardPairs`. (ours)

    The last layer's forward state at the last frame and its backward state at the first.
    """

    def __init__(self, width: int, hidden: int, layers: int) -> None:
        super().__init__(width, hidden, layers, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        _, last = super().forward(x)  # (2·layers, N, H)
        return torch.cat([last[-2], last[-1]], dim=1)


@register
class RecurrentEncoder(Encoder):
    """Batch norm over the V·C·M numbers of a frame, then recurrent layers; the last frame's output.

    Args:
        persons: places for persons; clips with fewer are filled up with zeros. Their order counts.
        hidden: state size of one GRU; features are twice as wide.
        layers: recurrent layers.
        bidirectional: a true bidirectional GRU instead of the published pairs of forward GRUs. It is a
            different model and cannot take the published weights.
        apart: read each person alone, and average over those who are there: any number of persons, whose
            order does not count, instead of ``persons`` places of one input. (ours)
        pooling: what the features are: ``last``, the last layer's output at the last frame, as published, or
            ``max``, the largest outputs over the frames, of every layer, and over persons ``apart``. (ours)

    Shape:
        - x: (N, C, T, V, M), M up to ``persons``, with ``apart`` any; returns: (N, 2·hidden), with
          ``pooling="max"`` (N, layers·2·hidden)

    Raises:
        InputError: an option out of range, or ``pooling="max"`` with ``bidirectional``.
    """

    name = "gru"
    cached = 256
    places_option = "persons"
    input_norm: nn.BatchNorm1d

    def __init__(
        self,
        layout: SkeletonLayout,
        in_channels: int = 3,
        persons: int = 2,
        hidden: int = 1024,
        layers: int = 3,
        bidirectional: bool = False,
        apart: bool = False,
        pooling: str = "last",
    ) -> None:
        if min(persons, hidden, layers) < 1:
            got = f"{persons}, {hidden} and {layers}"
            raise InputError(f"gru expects persons, hidden and layers of at least 1, got {got}")
        check_name("pooling", pooling, ("last", "max"))
        if pooling == "max" and bidirectional:
            raise InputError(
                "gru expects pooling=last with bidirectional=true, whose layers are not read one by one"
            )
        features = 2 * hidden * (layers if pooling == "max" else 1)
        super().__init__(layout, in_channels, features, places=None if apart else persons)
        self.present_only, self.largest_person = apart, pooling == "max"
        width = layout.num_joints * in_channels * (self.places or 1)
        self.recurrent: nn.Module = (
            BothWays(width, hidden, layers)
            if bidirectional
            else ForwardPairs(width, hidden, layers, largest=pooling == "max")
        )
        for name, parameter in self.recurrent.named_parameters():
            if "weight" in name:
                nn.init.xavier_uniform_(parameter)  # published

    def forward_features(self, x: Tensor) -> Tensor:
        """The last frame's output, (N, M, 2·hidden, 1, 1); M is 1 where all persons are in it."""
        if self.places is None:
            return super().forward_features(x)
        self.check(x)
        frames = self.with_places(x).permute(2, 0, 3, 1, 4).flatten(2)  # (T, N, V·C·M)
        normed = self.input_norm(frames.flatten(0, 1)).view(frames.shape)
        return self.recurrent(normed)[:, None, :, None, None]

    def forward_persons(self, x: Tensor) -> Tensor:
        frames = x.permute(2, 0, 3, 1).flatten(2)  # (T, B, V·C)
        return self.recurrent(frames)[:, :, None, None]

    def forward_present(self, x: Tensor, present: Tensor) -> Tensor:
        if self.places is None:
            return super().forward_present(x, present)
        return self.pooled(self.forward_features(x))
