"""The contract of every method: what a training loop calls, and what comes out."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from kinelex.data.clip_prompts import Prompts
from kinelex.encoders import Encoder
from kinelex.errors import InputError, check_name
from kinelex.methods.embedding_space import EmbeddingSpace
from kinelex.methods.prompt_choice import check_prompts
from kinelex.skeleton import STREAMS

# One encoder; one per stream; or pairs of stream and encoder, made one after another as they are asked for.
Encoders = Encoder | Mapping[str, Encoder] | Iterable[tuple[str, Encoder]]


class StepOutput(NamedTuple):
    """What a step gives: the loss, and what to log by name, scalars and histograms.

    Shape:
        - loss: (); logs: () or (bins,)
    """

    loss: Tensor
    logs: dict[str, Tensor]


@dataclass
class StepInput:
    """What a step reads, checked; see :meth:`Method.forward`. ``features`` (N, F): of x, where at hand."""

    x: Tensor
    prompts: dict[str, Prompts]
    labels: Tensor
    presence: Tensor | None
    generator: torch.Generator | None
    features: Tensor | None = None

    @property
    def clips_or_features(self) -> Tensor:
        """The features that are at hand, or the clips to compute them of."""
        return self.x if self.features is None else self.features


class Method(nn.Module, ABC):
    """An encoder (or several, one per stream) with the losses that teach it.

    A subclass writes :meth:`step` and :attr:`encoders`. It takes ``encoder`` first: one encoder, or
    ``{stream: encoder}``; ``stream`` says what a single one reads. Where its class says that it reads
    prompts, it takes ``prompts``; where it reads labels, ``num_classes`` and ``class_counts``. All other
    arguments are options of recipes.

    Attributes:
        name: its name in recipes, where it is registered (:func:`~kinelex.methods.register`).
        needs_prompts: whether it reads knowledge prompts; training then asks for them.
        needs_labels: whether it reads labels; clips without one are then left out of training.
        needs_epochs: whether it must be told where an epoch starts and ends.
        derives_streams: whether it always derives its streams from the joints.
        views, modalities: augmentations of a clip per step, and prompt modalities that it reads.
    """

    name: ClassVar[str]
    needs_prompts: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = False
    needs_epochs: ClassVar[bool] = False
    derives_streams: ClassVar[bool] = False
    epoch: int | None = None  # between on_epoch_start and on_epoch_end
    views: int = 1
    modalities: tuple[str, ...] = ()

    @classmethod
    def reads(cls, options: Mapping[str, Any]) -> tuple[str, ...] | None:
        """What it reads from the prompt store: modalities, and ``images`` for the tiled pictures.

        None where that is the user's choice (``training.modalities``). The options are all of the method's.
        """
        return None if cls.needs_prompts else ()

    @classmethod
    def also_uses(cls, options: Mapping[str, Any]) -> Iterable[Any]:
        """What its options name beside it, such as transforms: a run of it must have their plugins too.

        Raises:
            InputError: a name that is not there.
        """
        return ()

    @property
    @abstractmethod
    def encoders(self) -> dict[str, Encoder]:
        """The trained encoders by stream: all that inference needs."""

    @property
    def classifiers(self) -> dict[str, nn.Linear]:
        """What turns each stream's features into scores of the classes; empty without labels."""
        return {}

    @property
    def embedding_space(self) -> EmbeddingSpace | None:
        """Where clips and their prompts meet, if the method makes such a space; kept with the run."""
        return None

    @abstractmethod
    def step(self, batch: StepInput) -> StepOutput:
        """Loss of a batch and what to log."""

    def forward(
        self,
        x: Tensor,
        prompts: Mapping[str, Any] | None = None,
        labels: Tensor | None = None,
        presence: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> StepOutput:
        """Loss of a batch and what to log.

        Args:
            x: the clips; with two views all clips' first ones, then their second ones.
            prompts: by modality :class:`Prompts` or arrays, for a method that reads prompts.
            labels: the classes, for a method that reads labels.
            presence: which joints are there; by default what is 0 is missing.
            generator: source of randomness (on the CPU).

        Shape:
            - x: (views·N, C, T, V, M); labels: (N,) int64; presence: (views·N, 1, T, V, M) bool

        Raises:
            InputError: something that the method needs is missing, or of another shape.
        """
        if self.needs_epochs and self.training and self.epoch is None:
            raise InputError(
                f"{self.name} changes from epoch to epoch: call on_epoch_start(epoch, epochs) before the "
                "steps of each epoch, and on_epoch_end() after them"
            )
        clips = len(x) // self.views
        given = check_prompts(self.name, prompts, self.modalities, clips)
        if labels is None or labels.shape != (clips,):
            if self.needs_labels:
                got = "none" if labels is None else f"shape {tuple(labels.shape)}"
                raise InputError(f"{self.name} learns from labels: expects labels ({clips},), got {got}")
            labels = torch.full((clips,), -1)
        return self.step(StepInput(x, given, labels, presence, generator))

    def trained_parameters(self) -> list[nn.Parameter]:
        """What the optimiser gets: every parameter that requires a gradient."""
        return [p for p in self.parameters() if p.requires_grad]

    def check_step(self, clips: int) -> None:
        """Raise an InputError where a step of so many clips, over all processes, cannot be."""

    def on_epoch_start(self, epoch: int, epochs: int) -> None:
        """To call before the steps of an epoch (from 0), and again where a resumed training goes on in it."""
        if self.needs_epochs and self.epoch not in (None, epoch):
            after = "call on_epoch_end() after its steps"
            raise InputError(f"{self.name}: epoch {self.epoch} was not ended, {after}")
        self.epoch = epoch

    def on_epoch_end(self) -> None:
        """To call after the steps of an epoch, before its checkpoint."""
        self.epoch = None

    def warnings(self, history: list[dict[str, float]]) -> list[str]:
        """What looks wrong, if the logged means of each epoch so far show it."""
        return []


def encoders_by_stream(encoder: Encoders, streams: Iterable[str]) -> Iterator[tuple[str, Encoder]]:
    """The encoder of each stream; of a single one every stream gets a copy. Others are refused."""
    pairs: Iterable[tuple[Any, Any]]
    if isinstance(encoder, nn.Module):
        pairs = ((stream, copy.deepcopy(encoder) if k else encoder) for k, stream in enumerate(streams))
    elif isinstance(encoder, Iterable):
        pairs = encoder.items() if isinstance(encoder, Mapping) else encoder
    else:
        pairs = [("joint", encoder)]
    known = set[str]()
    for stream, one in pairs:
        if not isinstance(one, nn.Module):
            hint = ": call it, and pass what it makes" if callable(one) else ""
            got = getattr(one, "__name__", repr(one))
            raise InputError(f"expects an encoder, or {{stream: encoder}}, got {got}{hint}")
        check_name("stream", stream, STREAMS)
        if stream in known:
            raise InputError(f"expects every stream once, got {stream} twice")
        known.add(stream)
        yield stream, cast(Encoder, one)
