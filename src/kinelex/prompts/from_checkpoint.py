"""What all engines and encoders have in common that compute with a checkpoint of ``transformers``."""

from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any, ClassVar

from kinelex.models.transformers import Checkpoint, find_checkpoint


@dataclass(kw_only=True, eq=False)
class FromCheckpoint:
    """Which checkpoint computes, and how; the fields of this and of its subclasses are the user's options.

    Args:
        model: folder or hub id of a checkpoint (owner/name or owner/name@revision).
        batch_size: pictures per pass.
        device: auto, cpu, cuda, cuda:1 …
        dtype: auto, float32, bfloat16 or float16; auto is the checkpoint's own on a GPU, float32 on a CPU.
    """

    section: ClassVar[str]  # of the options, for messages
    model: str = ""
    batch_size: int = 32
    device: str = "auto"
    dtype: str = "auto"

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint of the option ``model``."""
        return find_checkpoint(self.model, f"{self.section}.model")

    @property
    def version(self) -> str:
        """The version of transformers."""
        return version("transformers")

    def load(self, auto: str, may_lack: tuple[str, ...] = ()) -> Any:
        """The checkpoint's network, by a class of transformers."""
        return self.checkpoint.network(auto, self.device, self.dtype, may_lack)

    def all_settings(self, network: Any, **own: Any) -> dict[str, Any]:
        """All that changes what the network gives: the checkpoint, what else there is, and its numbers."""
        return {**self.checkpoint.settings, **own, "dtype": str(network.dtype).removeprefix("torch.")}
