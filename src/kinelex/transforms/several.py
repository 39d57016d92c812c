"""Clips of several stores, each prepared in its own way, side by side in one layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from kinelex.skeleton import SkeletonLayout
from kinelex.transforms.pipeline import InputConfig, InputPipeline


class SeveralPipelines(InputPipeline):
    """One config's pipeline for each of several stores, whose batches are
    :class:`~kinelex.data.several.SeveralBatch`.

    Args:
        layout: layout of the result.
        config: what to do; its clips must come out with the same number of persons and coordinates.
        sources: layouts of the stores' clips.

    Raises:
        InputError: as of :class:`InputPipeline`.
    """

    def __init__(
        self, layout: SkeletonLayout, config: InputConfig, sources: Sequence[SkeletonLayout]
    ) -> None:
        super().__init__(layout, config)
        self._pipelines = [InputPipeline(layout, config, source) for source in sources]

    def sample(self, batch: Any, generator: torch.Generator) -> dict[str, Any]:
        """Draw the training augmentation of each store's clips."""
        return {str(k): self._pipelines[k].sample(part, generator) for k, part in batch.parts.items()}

    def prepare(self, batch: Any, params: Mapping[str, Any] | None = None) -> tuple[Tensor, Tensor]:
        """The encoder's input, and which joints of it are there.

        Shape:
            - returns: (N, C, T, V, M); (N, 1, T, V, M) bool
        """
        drawn = params or {}
        parts = [self._pipelines[k].prepare(part, drawn.get(str(k))) for k, part in batch.parts.items()]
        x, presence = map(torch.cat, zip(*parts, strict=True))
        return x, presence
