"""One classifier per stream, for the methods that read labels."""

from typing import cast

from torch import Tensor, nn

from kinelex.encoders import Encoder
from kinelex.errors import InputError
from kinelex.methods.base import Encoders, encoders_by_stream
from kinelex.skeleton import make_stream


class Classifier(nn.Module):
    """The encoder of one stream, and the linear layer that turns its features into scores of the classes.

    ``std`` is the standard deviation of the weights to begin with; 0 is CTR-GCN's, sqrt(2 / classes).
    """

    def __init__(self, encoder: Encoder, classes: int, dropout: float, std: float) -> None:
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

    A single encoder is for the input as it is, which is ``stream``, or with a copy for each of ``streams``,
    which are derived from the joints; or there is one for each stream by name.
    """

    def __init__(
        self,
        encoder: Encoders,
        streams: tuple[str, ...],
        stream: str,
        classes: int | None,
        dropout: float = 0.0,
        std: float = 0.0,
    ) -> None:
        if classes is None or classes < 2:
            raise InputError(f"a classifier needs two classes or more, got num_classes={classes}")
        if not (0 <= dropout < 1 and std >= 0):
            limits = "dropout of at least 0 and below 1 and classifier_std of at least 0"
            raise InputError(f"expects {limits}, got {dropout} and {std}")
        self.derived = bool(streams) or not isinstance(encoder, nn.Module)
        pairs = encoders_by_stream(encoder, streams or (stream,))
        super().__init__({name: Classifier(one, classes, dropout, std) for name, one in pairs})

    def inputs(self, x: Tensor, presence: Tensor | None = None) -> dict[str, Tensor]:
        """What each stream's encoder reads, (N, C, T, V, M) as the clips or joints ``x``.

        Which joints are there says ``presence``, (N, 1, T, V, M) bool.
        """
        if not self.derived:
            return dict.fromkeys(self, x)
        return {s: make_stream(x, encoder.layout, s, presence) for s, encoder in self.encoders.items()}

    def classify(self, inputs: dict[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
        """Features (N, F) and scores (N, classes) by stream, of what :meth:`inputs` gives."""
        return {stream: self[stream](inputs[stream]) for stream in self}

    @property
    def encoders(self) -> dict[str, Encoder]:
        """The encoders by stream."""
        return {stream: cast(Classifier, one).encoder for stream, one in self.items()}

    @property
    def linears(self) -> dict[str, nn.Linear]:
        """The last layers by stream."""
        return {stream: cast(Classifier, one).linear for stream, one in self.items()}
