"""The contract of every method: what training calls, and what comes out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from kinelex.data.batch import Batch
from kinelex.data.clip_prompts import PromptShape, PromptStatistics
from kinelex.encoders import Encoder
from kinelex.errors import InputError
from kinelex.methods.embedding_space import EmbeddingSpace


@dataclass(frozen=True)
class TrainingPart:
    """What a method may know of the training part when it is built.

    Args:
        stream: stream of the input (``input.stream`` of the recipe).
        prompts: what the prompts of each modality look like; empty where none are read.
        class_names: the classes; a method that reads no labels makes nothing of them.
        class_counts: labelled clips of each class in the training part.
    """

    stream: str = "joint"
    prompts: dict[str, PromptShape] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    class_counts: tuple[int, ...] = ()


class Method(nn.Module, ABC):
    """An encoder (or several, one per stream) with the losses that teach it.

    Attributes:
        needs_prompts: whether it reads knowledge prompts; training then asks for them.
        needs_labels: whether it reads labels; clips without one are then left out of training.
        views: augmentations of a clip per step.
        modalities: prompt modalities it reads, none where it needs no prompts.
    """

    needs_prompts: bool = False
    needs_labels: bool = False
    views: int = 1
    modalities: tuple[str, ...] = ()

    @classmethod
    def build(cls, make_encoder: Callable[[], Encoder], part: TrainingPart, **options: Any) -> Method:
        """Build the method from a recipe's parts; this form is for methods that make their own streams.

        Args:
            make_encoder: makes an encoder with fresh weights.
            part: what it learns from.
            **options: the method's own options.

        Raises:
            InputError: an option that cannot be, or an input that is no joints.
        """
        if part.stream != "joint":
            raise InputError(
                f"{cls.__name__} makes its streams from the joints: leave out input.stream={part.stream}, "
                "and choose with method.streams"
            )
        return cls(make_encoder, **options)

    @classmethod
    def reads(cls, options: Mapping[str, Any]) -> tuple[str, ...] | None:
        """What it reads from the prompt store: modalities, and ``images`` for the tiled pictures.

        Args:
            options: all of the method's options.

        Returns:
            None where that is the user's choice (``training.modalities``).
        """
        return None if cls.needs_prompts else ()

    @property
    @abstractmethod
    def encoders(self) -> dict[str, Encoder]:
        """The trained encoders by stream: all that inference needs."""

    @property
    def classifiers(self) -> dict[str, nn.Linear]:
        """What turns each stream's features into scores of the classes; empty without labels."""
        return {}

    @property
    def space(self) -> EmbeddingSpace | None:
        """Where its clips and their prompts meet, if it makes such a space; kept with the run."""
        return None

    @abstractmethod
    def forward(
        self, x: Tensor, batch: Batch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a batch and what to log: scalars, and histograms (1-D) by name.

        Shape:
            - x: (views·N, C, T, V, M), all clips' first views, then their second ones.
        """

    def trained_parameters(self) -> list[nn.Parameter]:
        """What the optimiser gets: by default every parameter that requires a gradient."""
        return [p for p in self.parameters() if p.requires_grad]

    def fit_prompts(self, statistics: dict[str, PromptStatistics]) -> None:
        """Take over mean and scale of the training part's prompts, where the method reads prompts."""

    def check_step(self, clips: int) -> None:
        """Raise an InputError where a step of so many clips, over all processes, cannot be."""

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Called before the steps of an epoch (from 0), and again where a resumed training goes on in it."""

    def end_epoch(self) -> None:
        """Called after the steps of an epoch, before its checkpoint."""

    def warnings(self, history: list[dict[str, float]]) -> list[str]:
        """What looks wrong, if the logged means of each epoch so far show it."""
        return []
