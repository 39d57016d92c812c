"""Checkpoints found, loaded and told apart."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from kinelex.errors import InputError, check_name, one_line

DTYPES = ("auto", "float32", "bfloat16", "float16")
_PROBE_SECONDS = 10.0
_END = 1 << 20  # bytes at both ends of a file of weights that tell it from another
_NOTES = (".json", ".txt", ".jinja", ".model")
_WEIGHTS = (".safetensors", ".bin", ".h5", ".msgpack", ".onnx", ".gguf", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that is there: a local folder, or a model of the hub at one revision.

    Args:
        where: the folder, or the hub's id.
        revision: the hub's commit; of a folder a digest of what lies in it.
        option: the option that named it, for messages.
        offline: read from the hub's cache only.
    """

    where: str
    revision: str
    option: str
    offline: bool = False

    @property
    def is_folder(self) -> bool:
        """Whether it lies in a folder that the user named."""
        return Path(self.where).is_dir()

    @property
    def settings(self) -> dict[str, Any]:
        """What tells it from other checkpoints, without the place where it lies."""
        model = Path(self.where).resolve().name if self.is_folder else self.where
        return {"model": model, "revision": self.revision}

    def processor(self, auto: str = "AutoProcessor") -> Any:
        """Its processor, tokenizer or image processor by a class of transformers, without torchvision."""
        import transformers

        with _quietly(), _without_videos():
            try:
                return getattr(transformers, auto).from_pretrained(self.where, **self._from)
            except Exception as error:
                raise self._wrong(auto, error) from error

    def network(
        self, auto: str, device: str = "auto", dtype: str = "auto", may_lack: tuple[str, ...] = ()
    ) -> Any:
        """Its network by a class of transformers, on the device, ready for inference.

        ``auto`` takes a GPU where there is one, and there the checkpoint's own numbers (:data:`DTYPES`),
        float32 on a CPU. ``may_lack`` are beginnings of names of weights that are not used.
        """
        import transformers

        place, number = find_device(device), _dtype(dtype, find_device(device))
        with _quietly():
            try:
                network, report = getattr(transformers, auto).from_pretrained(
                    self.where, dtype=number, output_loading_info=True, **self._from
                )
                network = network.to(place).eval()
            except Exception as error:
                raise self._wrong(auto, error) from error
        lacking = sorted(k for k in report["missing_keys"] if not k.startswith(may_lack))
        if lacking:  # transformers would draw them at random and go on
            raise InputError(
                f"{self.where} holds no {type(network).__name__}: {len(lacking)} of its weights are missing, "
                f"{lacking[0]} first; name another checkpoint with {self.option}=FOLDER-OR-ID"
            )
        return network.requires_grad_(False)

    @property
    def _from(self) -> dict[str, Any]:
        safe = {"trust_remote_code": False}  # said, or transformers asks on the terminal
        if self.is_folder:
            return safe
        return {**safe, "revision": self.revision, "local_files_only": self.offline}

    def _wrong(self, auto: str, error: Exception) -> InputError:
        reason = one_line(error)
        reason = reason if len(reason) < 300 else f"{reason[:300]} …"
        return InputError(
            f"{self.where} cannot be loaded as {auto} ({type(error).__name__}: {reason}): expects the files "
            f"of a checkpoint of that kind; name another one with {self.option}=FOLDER-OR-ID"
        )


def find_checkpoint(model: str, option: str) -> Checkpoint:
    """The checkpoint that an option names: a folder, ``owner/name`` or ``owner/name@revision`` of the hub."""
    if find_spec("transformers") is None or find_spec("PIL") is None:
        raise InputError(f"{option}: needs transformers and Pillow: pip install 'kinelex[models]'")
    folder = Path(os.path.expanduser(model))
    if model and folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InputError(f"{option}: {folder} has no config.json, expects the folder of a checkpoint")
        return Checkpoint(str(folder), _digest(folder), option)
    if not model or model.startswith((".", "/", "~")) or model.count("/") > 1 or "\\" in model:
        raise InputError(
            f"{option}: expects the folder of a checkpoint or an id of the hub, there is no {model!r}"
        )
    return _on_hub(model, option)


def _on_hub(model: str, option: str) -> Checkpoint:
    """A model of the hub as it is now, or as the cache has it where the hub cannot be reached."""
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name, _, revision = model.partition("@")
    folder = name.rpartition("/")[2]
    download = f"download it where there is a connection (`hf download {name} --local-dir {folder}`), "
    download += f"bring the folder here and name it with {option}={folder}"
    try:
        model_info = HfApi().model_info(name, revision=revision or None, timeout=_PROBE_SECONDS)
        return Checkpoint(name, str(model_info.sha), option)
    except GatedRepoError as error:
        raise InputError(
            f"{option}: {name} is shared on conditions: accept them at the hub and log in (`hf auth login`), "
            f"or {download}"
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise InputError(
            f"{option}: there is no folder {model} and no such model at the hub: expects a folder, "
            "owner/name or owner/name@revision (for a private model log in with `hf auth login`)"
        ) from error
    except Exception as error:  # whatever the network does
        cached = try_to_load_from_cache(name, "config.json", revision=revision or None)
        if isinstance(cached, str):
            return Checkpoint(name, Path(cached).parent.name, option, offline=True)
        reason = one_line(error)[:200] or type(error).__name__
        unreachable = f"{option}: {model} is no folder here, and the hub cannot be reached ({reason})"
        raise InputError(f"{unreachable}: {download}") from error


def find_device(device: str) -> torch.device:
    """The device to work on; ``auto`` takes a GPU where there is one. One that is not there is refused.

    >>> find_device("cpu")
    device(type='cpu')
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        place = torch.device(device)
        torch.zeros(1, device=place).item()  # what the device "meta" cannot
    except (RuntimeError, AssertionError, ImportError) as error:
        raise InputError(
            f"expects a device that torch has here (auto, cpu, cuda, cuda:1 …), got {device!r}: "
            f"{one_line(error)[:200]}"
        ) from error
    return place


def _dtype(dtype: str, device: torch.device) -> Any:
    check_name("dtype", dtype, DTYPES)
    if dtype == "auto":
        return torch.float32 if device.type == "cpu" else "auto"
    return getattr(torch, dtype)


def _digest(folder: Path) -> str:
    """Sixteen hex digits of a checkpoint's files; of weights their size and both ends count."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.suffix in (*_NOTES, *_WEIGHTS) and p.is_file()):
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as file:
            if path.suffix in _WEIGHTS and size > 2 * _END:
                digest.update(file.read(_END))
                file.seek(-_END, 2)
            digest.update(file.read())
    return digest.hexdigest()[:16]


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the bars and warnings of loading; what is wrong is said by our own messages."""
    from transformers.utils import logging

    before, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bar:
            logging.enable_progress_bar()


@contextmanager
def _without_videos() -> Iterator[None]:
    """Where torchvision is not installed, let processors load without their part for videos, never called."""
    if find_spec("torchvision") is not None:
        yield
        return
    from transformers import ProcessorMixin
    from transformers.video_processing_utils import VideoProcessorMixin

    # By its full name: as an attribute of transformers.models.auto it is a dummy without torchvision.
    module = import_module("transformers.models.auto.video_processing_auto")
    check = ProcessorMixin.check_argument_for_proper_class

    class Absent(VideoProcessorMixin):
        """Stands in the place of the part for videos."""

        @classmethod
        def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
            return cls()

    def check_others(self: Any, name: str, part: Any) -> Any:
        return None if isinstance(part, Absent) else check(self, name, part)

    with (
        patch.object(module, "AutoVideoProcessor", Absent),
        patch.object(ProcessorMixin, "check_argument_for_proper_class", check_others),
    ):
        yield
