"""USDRL: two views of a clip agree as a whole, in each moment and in each joint, without negatives.

Weng et al., "USDRL: Unified skeleton-based dense representation learning with multi-grained feature
decorrelation", AAAI 2025, arXiv 2412.09220. The encoder's features are averaged over time and joints (the
instance), over joints alone (the moments) and over time alone (the joints); each goes through a projector of
its own, and the two views' projections must agree while their dimensions are decorrelated. Our reading: the
three terms are those of VICReg, with its weights; means stand for the paper's maxima; any encoder that keeps
frames and joints stands for its dense encoder.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinelex.encoders import Encoder
from kinelex.encoders.base import present_persons
from kinelex.errors import InputError
from kinelex.losses import decorrelation, gather
from kinelex.methods.base import Encoders, Method, StepInput, StepOutput, encoders_by_stream
from kinelex.methods.diagnostics import collapse_warnings
from kinelex.methods.projector import projector
from kinelex.methods.registry import register

DOMAINS = ("instance", "time", "joints")


@register
class USDRL(Method):
    """The method: an encoder, a projector for each domain, and decorrelation.

    Args:
        encoder: the encoder, or one for the stream that it reads, by name.
        stream: the stream that a single encoder reads, as ``x`` is.
        dim: width of the projections.
        hidden: width inside the projectors.
        invariance, variance, covariance: weights of the terms.
        time, joints: weights of the moments and of the joints beside the instance; 0 leaves one out.

    Raises:
        InputError: an option out of range, several encoders, or one that has put frames and joints together.
    """

    name = "usdrl"
    views = 2

    def __init__(
        self,
        encoder: Encoders,
        stream: str = "joint",
        dim: int = 512,
        hidden: int = 512,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        time: float = 1.0,
        joints: float = 1.0,
    ) -> None:
        super().__init__()
        if min(dim, hidden) < 1 or min(invariance, variance, covariance, time, joints) < 0:
            limits = "dim and hidden of at least 1 and weights of at least 0"
            raise InputError(f"usdrl expects {limits}, got {dim}, {hidden} and a weight below 0")
        pairs = dict(encoders_by_stream(encoder, (stream,)))
        if len(pairs) != 1:
            raise InputError(f"usdrl teaches one encoder, got {', '.join(pairs)}")
        (self.stream, self.encoder), *_ = pairs.items()
        self.weights = {"instance": 1.0, "time": time, "joints": joints}
        self.terms = (invariance, variance, covariance)
        asked = [domain for domain in DOMAINS if self.weights[domain]]
        width = self.encoder.num_features
        self.projectors = nn.ModuleDict({d: projector(width, hidden, dim, norm=True) for d in asked})

    @property
    def encoders(self) -> dict[str, Encoder]:
        """The encoder by its stream."""
        return {self.stream: self.encoder}

    def step(self, batch: StepInput) -> StepOutput:
        """Loss of a batch and what to log."""
        loss, logs = torch.zeros((), device=batch.x.device), dict[str, Tensor]()
        for domain, rows in self._rows(batch.x).items():
            projected = self.projectors[domain](rows)
            with torch.autocast(batch.x.device.type, enabled=False):  # covariances need full precision
                terms = decorrelation(*map(gather, projected.float().chunk(2)))
                term = sum(weight * value for weight, value in zip(self.terms, terms, strict=True))
                loss = loss + self.weights[domain] * term
            logs[f"loss/{domain}"] = torch.as_tensor(term).detach()
            logs[f"spread/{domain}"] = 1 - terms.variance.detach()
        return StepOutput(loss, logs)

    def _rows(self, x: Tensor) -> dict[str, Tensor]:
        """Features (rows, F) of each domain; those of the second view lie in the second half."""
        features = self.encoder.forward_features(x)  # (2N, M, F, T', V')
        if features.shape[1] > 1:  # absent persons say nothing
            present = F.pad(present_persons(x), (0, features.shape[1] - x.shape[4]))
            share = present / present.sum(dim=1, keepdim=True).clamp(min=1)
            features = features * share[:, :, None, None, None]
        features = features.sum(dim=1)  # (2N, F, T', V')
        if min(features.shape[2:]) == 1 and len(self.projectors) > 1:
            raise InputError(
                f"usdrl looks at single frames and joints, which the encoder {self.encoder.name} has put "
                "together: take another, such as stgcn or transformer, or method.time=0 and method.joints=0"
            )
        found = {"instance": features.mean(dim=(2, 3))}
        found["time"] = features.mean(dim=3).transpose(1, 2).flatten(0, 1)
        found["joints"] = features.mean(dim=2).transpose(1, 2).flatten(0, 1)
        return {domain: rows for domain, rows in found.items() if domain in self.projectors}

    def warnings(self, history: list[dict[str, float]]) -> list[str]:
        """A collapse, if the epochs so far show it."""
        return collapse_warnings(history, self.projectors)
