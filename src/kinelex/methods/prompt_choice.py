"""Which prompt stands for a clip in a step, and the check of the prompts that a step is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kinelex.data.clip_prompts import Prompts, PromptShape, PromptStatistics
from kinelex.errors import InputError, check_name

CHOICES = ("random", "mean")


class PromptChoice(nn.Module):
    """Makes one vector per clip and modality: of its frames' prompts, with the clip's own prompt beside it.

    Args:
        shapes: by modality (``language``, ``vision``) what its prompts look like.
        choice: ``random`` takes one frame's prompt per step, ``mean`` the average over the frames.
        segments: with ``mean``, average so many consecutive parts of the clip apart and concatenate them,
            which keeps their order in time; a modality with fewer prompts has as many parts as prompts.
        standardise: subtract the training part's mean and divide by its scale (:meth:`fit`).
    """

    def __init__(
        self,
        shapes: Mapping[str, PromptShape],
        choice: str = "random",
        segments: int = 1,
        standardise: bool = True,
    ) -> None:
        super().__init__()
        check_name("prompt", choice, CHOICES)
        if segments < 1 or (segments > 1 and choice != "mean"):
            rule = "goes with prompt=mean and is at least 1"
            raise InputError(f"segments={segments} {rule}, got prompt={choice}")
        self.choice, self.standardise, self.shapes = choice, standardise, dict(shapes)
        self.segments = {m: max(1, min(segments, s.count)) for m, s in shapes.items()}
        self.widths = {m: self.segments[m] * s.width + s.clip_width for m, s in shapes.items()}
        for m, shape in shapes.items():
            for part, width in (("frame", shape.width), ("clip", shape.clip_width)):
                self.register_buffer(f"{m}_{part}_mean", torch.zeros(width))
                self.register_buffer(f"{m}_{part}_scale", torch.ones(()))

    @classmethod
    def of(cls, statistics: Mapping[str, PromptStatistics], *options: Any) -> PromptChoice:
        """For prompts of a training part, with its mean and scale."""
        choice = cls({m: s.shape for m, s in statistics.items()}, *options)
        choice.fit(statistics)
        return choice

    def fit(self, statistics: Mapping[str, PromptStatistics]) -> None:
        """Take over mean and scale of the training part's prompts, if ``standardise`` is on."""
        for m, values in statistics.items() if self.standardise else ():
            for name in ("frame_mean", "frame_scale", "clip_mean", "clip_scale"):
                self.get_buffer(f"{m}_{name}").copy_(getattr(values, name))

    def scaled(self, modality: str, part: str, values: Tensor) -> Tensor:
        """Prompts (..., width) of a modality's ``frame`` or ``clip``, less the mean and over the scale."""
        mean = self.get_buffer(f"{modality}_{part}_mean")
        return (values.float() - mean) / self.get_buffer(f"{modality}_{part}_scale")

    def vectors(self, modality: str, prompts: Prompts, pick: Tensor | None = None) -> Tensor:
        """The vector of each clip: its frames' mean prompt, or the picked one, beside the clip's own.

        Shape:
            - pick: (N,) int64, which frame's prompt; returns: (N, ``widths[modality]``)
        """
        frames, count, segments = prompts.frame, prompts.shape.count, self.segments[modality]
        if not count:
            values = []
        elif pick is not None:
            values = [frames[torch.arange(len(frames), device=frames.device), pick]]
        else:
            bounds = [count * k // segments for k in range(segments + 1)]
            values = [frames[:, a:b].float().mean(dim=1) for a, b in zip(bounds, bounds[1:], strict=False)]
        parts = [self.scaled(modality, "frame", value) for value in values]
        if prompts.clip is not None:
            parts.append(self.scaled(modality, "clip", prompts.clip))
        joined = torch.cat(parts, dim=1)
        if prompts.present is None:
            return joined
        return joined.masked_fill(joined.isnan() & ~prompts.present[:, None], 0)  # NaN times 0 stays NaN

    def forward(
        self, prompts: Mapping[str, Prompts], generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """The vectors of a batch by modality, (N, ``widths[modality]``); the generator is the CPU's."""
        chosen = {}
        for m, shape in self.shapes.items():
            given = prompts[m].shape
            if (given.width, given.clip_width) != (shape.width, shape.clip_width):
                raise InputError(
                    f"expects {m} prompts as the method was built for, of width {shape.width} for frames "
                    f"and {shape.clip_width} for clips, got {given.width} and {given.clip_width}"
                )
            frames, pick = prompts[m].frame, None
            if self.choice == "random" and frames.shape[1]:
                pick = torch.randint(frames.shape[1], (len(frames),), generator=generator).to(frames.device)
            chosen[m] = self.vectors(m, prompts[m], pick)
        return chosen


def prompt_statistics(prompts: Mapping[str, Any] | None) -> dict[str, PromptStatistics]:
    """What a method must know of the training part's prompts, where they are given as arrays.

    >>> prompt_statistics({"language": torch.ones(6, 2, 4)})["language"].shape
    PromptShape(count=2, width=4, clip_width=0)
    """
    given = (prompts or {}).items()
    return {m: p if isinstance(p, PromptStatistics) else _as_prompts(p).statistics() for m, p in given}


def _as_prompts(value: Any) -> Prompts:
    return value if isinstance(value, Prompts) else Prompts(value)


def check_prompts(
    method: str, prompts: Mapping[str, Any] | None, modalities: Iterable[str], clips: int
) -> dict[str, Prompts]:
    """The prompts of a method's step, by modality :class:`Prompts` or arrays (N, P, D).

    Missing ones without a mask are looked for on the CPU alone, where none waits.
    """
    checked = {}
    for m in modalities:
        if prompts is None or m not in prompts:
            got = ", ".join(prompts or ()) or "none"
            raise InputError(f"{method} reads {m} prompts: pass prompts={{{m!r}: ...}} to a step, got {got}")
        checked[m] = given = _as_prompts(prompts[m])
        if len(given) != clips:
            raise InputError(
                f"expects {m} prompts for the {clips} clips of the step, got {len(given)}: give a clip "
                "without prompts zeros, and say so with a mask, Prompts(frame, present=mask)"
            )
        if given.present is None and given.frame.device.type == "cpu" and given.frame.numel():
            rows = given.frame.flatten(1)
            empty = int((~(rows != 0).any(dim=1) | rows.isnan().any(dim=1)).sum())
            if empty:
                raise InputError(
                    f"{empty} of {clips} clips have {m} prompts of zeros or NaN and no mask says that they "
                    "are missing: pass Prompts(frame, present=mask), True for the clips that have prompts"
                )
    return checked
