"""The two files on disk, the skeleton store and the prompt store, and batches of clips."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kinelex.data.clip import Clip
from kinelex.data.pictures import read_jpeg, tile_pictures, write_jpeg
from kinelex.data.prompt_store import PromptStore, open_prompts
from kinelex.data.prompt_writer import (
    WHOLE_CLIP,
    ClipPrompts,
    ModalityPrompts,
    PromptBank,
    PromptMeta,
    PromptStoreWriter,
    cost_file,
)
from kinelex.data.sequence import Sequence, StoreMeta, check_sequence
from kinelex.data.skeleton_store import SkeletonStore, open_store
from kinelex.data.skeleton_writer import SkeletonStoreWriter

if TYPE_CHECKING:
    from kinelex.data.batch import Batch
    from kinelex.data.dataset import ClipDataset
    from kinelex.data.loader import SkeletonLoader

_WITH_TORCH = {"Batch": "batch", "ClipDataset": "dataset", "SkeletonLoader": "loader"}  # found on first use
__all__ = [
    "WHOLE_CLIP",
    "Batch",
    "Clip",
    "ClipDataset",
    "ClipPrompts",
    "ModalityPrompts",
    "PromptBank",
    "PromptMeta",
]
__all__ += ["PromptStore", "PromptStoreWriter", "Sequence", "SkeletonLoader", "SkeletonStore"]
__all__ += ["SkeletonStoreWriter", "StoreMeta", "check_sequence", "cost_file", "open_prompts", "open_store"]
__all__ += ["read_jpeg", "tile_pictures", "write_jpeg"]


def __getattr__(name: str) -> Any:
    if name in _WITH_TORCH:
        return getattr(import_module(f"kinelex.data.{_WITH_TORCH[name]}"), name)
    raise AttributeError(f"module 'kinelex.data' has no attribute {name!r}")
