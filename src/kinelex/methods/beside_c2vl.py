"""C2VL's loss beside that of a method that reads no prompts, on the same encoders: words as one more teacher.

Ours: SOfA (arXiv 2609.07078) and CMD teach skeletons by skeletons alone, C2VL (arXiv 2405.20606) by prompts
alone. Here each encoder of the method is also the skeleton encoder of a C2VL of its own, which has its own
projectors and teacher and sees the first view of each clip. Clips without prompts teach by the method's own
loss alone, so that stores with and without prompts train together.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any, ClassVar, cast

from torch import Tensor, nn

from kinelex.encoders import Encoder
from kinelex.errors import InputError
from kinelex.methods.base import Encoders, Method, StepInput, StepOutput
from kinelex.methods.c2vl import C2VL
from kinelex.methods.cmd import CMD
from kinelex.methods.embedding_space import EmbeddingSpace
from kinelex.methods.registry import register
from kinelex.methods.sofa import SOFA
from kinelex.skeleton import make_stream


class BesideC2VL(Method):
    """What a method becomes with C2VL beside it; to be named before the method among a class's bases.

    Args:
        encoder: as of the method.
        prompts: as of :class:`~kinelex.methods.C2VL`.
        prompt_weight: weight of C2VL's loss, the mean of the encoders'; the method's own has 1.
        alpha: α_T, see C2VL.
        prompt: which prompt stands for a clip in a step: ``random`` or the ``mean`` of all.
        text_space: no projector for language, see C2VL.
        options: the method's own.

    Raises:
        InputError: a weight that is not above 0, or what the method or C2VL refuses.
    """

    needs_prompts = needs_epochs = True
    shares_features: ClassVar[bool] = False  # its step gives the encoders the first views as they are, once

    def __init__(
        self,
        encoder: Encoders,
        prompts: Mapping[str, Any],
        prompt_weight: float = 1.0,
        alpha: float = 0.8,
        prompt: str = "mean",
        text_space: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(encoder, **options)
        if not 0 < prompt_weight < float("inf"):
            raise InputError(f"{self.name} expects prompt_weight above 0, got {prompt_weight}")
        chosen: dict[str, Any] = {"alpha": alpha, "prompt": prompt, "text_space": text_space}
        pairs = {s: C2VL(e, prompts, stream=s, **chosen) for s, e in self.taught.items()}
        self.c2vl = nn.ModuleDict(pairs)
        self.modalities, self.prompt_weight = tuple(prompts), prompt_weight

    @property
    def taught(self) -> dict[str, Encoder]:
        """The encoders that the losses teach, by stream."""
        return self.encoders

    @property
    def embedding_space(self) -> EmbeddingSpace | None:
        """Where clips and prompts meet; None with several streams, of which each has its own."""
        first, *more = self.c2vl.values()
        return None if more else cast(C2VL, first).embedding_space

    def on_epoch_start(self, epoch: int, epochs: int) -> None:
        """Start the epoch of the method and of C2VL."""
        super().on_epoch_start(epoch, epochs)
        for one in self.c2vl.values():
            cast(C2VL, one).on_epoch_start(epoch, epochs)

    def on_epoch_end(self) -> None:
        """End the epoch of the method and of C2VL."""
        super().on_epoch_end()
        for one in self.c2vl.values():
            cast(C2VL, one).on_epoch_end()

    def step(self, batch: StepInput) -> StepOutput:
        """The method's loss and C2VL's, and what to log: the method's own logs and C2VL's loss by stream."""
        features, taught = dict[str, Tensor](), self.taught
        apart = len(set(taught.values())) == len(taught)  # not one encoder for two streams
        with ExitStack() as hooks:
            for stream, encoder in taught.items() if self.shares_features and apart else ():
                keep = partial(_keep, features, stream)
                hooks.callback(encoder.register_forward_hook(keep).remove)
            loss, logs = super().step(batch)  # type: ignore[safe-super]  # the method's, which comes next
        x = batch.x.chunk(self.views)[0]
        presence = None if batch.presence is None else batch.presence.chunk(self.views)[0]
        for stream, one in self.c2vl.items():
            layout = taught[stream].layout
            read = make_stream(x, layout, stream, presence) if self.derives_streams else x
            more = batch.labels, presence, batch.generator, features.get(stream)
            given = StepInput(read, batch.prompts, *more)
            term = cast(C2VL, one).step(given).loss
            loss = loss + self.prompt_weight / len(self.c2vl) * term
            logs = {**logs, f"loss/{stream}_prompts": term.detach()}
        return StepOutput(loss, logs)


def _keep(features: dict[str, Tensor], stream: str, encoder: nn.Module, args: Any, output: Tensor) -> None:
    features[stream] = output


@register
class CMDC2VL(BesideC2VL, CMD):
    """CMD with C2VL's loss on each stream's query encoder, whose features both losses read."""

    name = "cmd_c2vl"
    shares_features = True


@register
class SOFAC2VL(BesideC2VL, SOFA):
    """SOfA with C2VL's loss on the student's encoder: language as a third loss."""

    name = "sofa_c2vl"

    @property
    def taught(self) -> dict[str, Encoder]:
        """The student's encoder, also where the teacher's is the one that is kept."""
        return {self.stream: self.student.encoder}
