"""Private machinery of the methods that read labels: one classifier per stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from torch import Tensor, nn

from kinelex.encoders import Encoder
from kinelex.errors import InputError, unknown_name
from kinelex.methods.base import TrainingPart
from kinelex.skeleton import STREAMS, make_stream


class Classifier(nn.Module):
    """The encoder of one stream and the linear layer that turns its features into scores of the classes.

    Args:
        encoder: the encoder.
        classes: number of classes.
        dropout: dropout on the features.
        std: standard deviation of the weights to begin with; 0 is CTR-GCN's, sqrt(2 / classes).
    """

    def __init__(self, encoder: Encoder, classes: int, dropout: float, std: float = 0.0) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(encoder.num_features, classes)
        nn.init.normal_(self.linear.weight, 0, std or (2 / classes) ** 0.5)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, F) and scores (N, classes)."""
        features = self.encoder(x)
        return features, self.linear(self.dropout(features)).float()


class Classifiers(nn.ModuleDict):
    """A classifier per stream, all of the same joints.

    Args:
        make_encoder: makes an encoder with fresh weights; called once per stream.
        part: what is learned from; its stream is the only one unless ``streams`` names others.
        streams: streams to derive from the joints; none leaves the input as it is.
        dropout: dropout on the features.
        std: of the classifiers' weights, see :class:`Classifier`.

    Raises:
        InputError: an unknown stream, one named twice, streams of an input that is no joints, or fewer
            than two classes.
    """

    def __init__(
        self,
        make_encoder: Callable[[], Encoder],
        part: TrainingPart,
        streams: tuple[str, ...],
        dropout: float,
        std: float = 0.0,
    ) -> None:
        for stream in streams:
            if stream not in STREAMS:
                raise unknown_name("stream", stream, STREAMS)
        if len(set(streams)) < len(streams):
            raise InputError(f"expects every stream once, got streams={','.join(streams)}")
        if streams and part.stream != "joint":
            raise InputError(
                f"several streams are made of the joints: leave out input.stream={part.stream}, or choose "
                "one stream with it and leave out method.streams"
            )
        classes = len(part.class_names)
        if classes < 2:
            raise InputError(f"a classifier needs two classes or more, the store has {classes}")
        if not (0 <= dropout < 1 and std >= 0):
            raise InputError(
                "expects dropout of at least 0 and below 1 and classifier_std of at least 0, "
                f"got {dropout} and {std}"
            )
        self.derived = bool(streams)
        super().__init__(
            {
                stream: Classifier(make_encoder(), classes, dropout, std)
                for stream in streams or (part.stream,)
            }
        )

    def inputs(self, x: Tensor, presence: Tensor | None = None) -> dict[str, Tensor]:
        """What each stream's encoder reads.

        Shape:
            - x: (N, C, T, V, M), joints where several streams are derived from them
            - presence: (N, 1, T, V, M) bool, which joints are there
            - returns: by stream (N, C, T, V, M)
        """
        if not self.derived:
            return dict.fromkeys(self, x)
        layouts = {stream: encoder.layout for stream, encoder in self.encoders.items()}
        return {stream: make_stream(x, layout, stream, presence) for stream, layout in layouts.items()}

    def classify(self, inputs: dict[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
        """Features (N, F) and scores (N, classes) by stream, of what :meth:`inputs` gives."""
        return {stream: self[stream](inputs[stream]) for stream in self}

    @property
    def encoders(self) -> dict[str, Encoder]:
        """The encoders by stream."""
        return {stream: cast(Classifier, own).encoder for stream, own in self.items()}

    @property
    def linears(self) -> dict[str, nn.Linear]:
        """The last layers by stream."""
        return {stream: cast(Classifier, own).linear for stream, own in self.items()}
