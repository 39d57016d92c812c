"""Which prompt stands for a clip in a training step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kinelex.data.batch import Batch
from kinelex.errors import InputError, unknown_name

CHOICES = ("random", "mean")


@dataclass(frozen=True)
class PromptShape:
    """What a modality's prompts look like.

    Args:
        count: prompts of single frames per clip (P).
        width: their width; 0 if there are none.
        clip_width: width of the whole clip's own prompt; 0 if there is none.
    """

    count: int
    width: int
    clip_width: int = 0


@dataclass
class PromptStatistics:
    """Mean and scale of the training part's prompts, of single frames and of whole clips.

    Shape:
        - frame_mean: (width,); clip_mean: (clip_width,); the scales are scalars.
    """

    frame_mean: Tensor
    frame_scale: Tensor
    clip_mean: Tensor
    clip_scale: Tensor


class PromptChoice(nn.Module):
    """Makes one vector per clip and modality: of its frames' prompts, with the clip's own prompt beside it.

    Args:
        shapes: per modality (``language``, ``vision``) what its prompts look like.
        choice: ``random`` takes one frame's prompt per step, ``mean`` the average over the frames.
        segments: with ``mean``, average so many consecutive parts of the clip apart and concatenate them,
            which keeps their order in time; a modality with fewer prompts has as many parts as prompts.
        standardise: subtract the training part's mean and divide by its scale (:meth:`fit`).

    Raises:
        InputError: an unknown choice, or segments that do not go with it.
    """

    def __init__(
        self,
        shapes: dict[str, PromptShape],
        choice: str = "random",
        segments: int = 1,
        standardise: bool = True,
    ) -> None:
        super().__init__()
        if choice not in CHOICES:
            raise unknown_name("prompt", choice, CHOICES)
        if segments < 1 or (segments > 1 and choice != "mean"):
            raise InputError(
                f"segments={segments} goes with prompt=mean and is at least 1, got prompt={choice}"
            )
        self.choice, self.standardise, self.shapes = choice, standardise, dict(shapes)
        self.segments = {m: max(1, min(segments, s.count)) for m, s in shapes.items()}
        self.widths = {m: self.segments[m] * s.width + s.clip_width for m, s in shapes.items()}
        for m, shape in shapes.items():
            self.register_buffer(f"{m}_frame_mean", torch.zeros(shape.width))
            self.register_buffer(f"{m}_frame_scale", torch.ones(()))
            self.register_buffer(f"{m}_clip_mean", torch.zeros(shape.clip_width))
            self.register_buffer(f"{m}_clip_scale", torch.ones(()))

    def fit(self, statistics: dict[str, PromptStatistics]) -> None:
        """Take over mean and scale of the training part's prompts, if ``standardise`` is on."""
        if self.standardise:
            for m, found in statistics.items():
                for name, value in vars(found).items():
                    self.get_buffer(f"{m}_{name}").copy_(value)

    def scaled(self, modality: str, part: str, values: Tensor) -> Tensor:
        """Prompts as the projector reads them: without the training part's mean, divided by its scale.

        Args:
            modality: ``language`` or ``vision``.
            part: ``frame`` or ``clip``: whose mean and scale.
            values: the prompts.

        Shape:
            - values: (..., width)
            - returns: (..., width)
        """
        mean = self.get_buffer(f"{modality}_{part}_mean")
        return (values.float() - mean) / self.get_buffer(f"{modality}_{part}_scale")

    def forward(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """The vectors of a batch.

        Args:
            batch: a batch with prompts.
            generator: source of randomness (on the CPU).

        Shape:
            - returns: per modality (N, ``widths[modality]``)
        """
        chosen = {}
        for m, segments in self.segments.items():
            parts = []
            frames = batch.prompts[m]  # (N, P, D)
            n, count = frames.shape[:2]
            if count and self.choice == "mean":
                bounds = [count * k // segments for k in range(segments + 1)]
                means = [frames[:, a:b].float().mean(dim=1) for a, b in zip(bounds, bounds[1:], strict=False)]
            elif count:
                pick = torch.randint(count, (n,), generator=generator).to(frames.device)
                means = [frames[torch.arange(n, device=frames.device), pick].float()]
            if count:
                parts += [self.scaled(m, "frame", value) for value in means]
            if m in batch.clip_prompts:
                parts.append(self.scaled(m, "clip", batch.clip_prompts[m]))
            chosen[m] = torch.cat(parts, dim=1)
        return chosen
