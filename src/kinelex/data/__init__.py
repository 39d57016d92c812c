"""The two files on disk: the skeleton store and the prompt store."""

from kinelex.data.jpeg import read_jpeg, tile_pictures, write_jpeg
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

__all__ = [
    "WHOLE_CLIP",
    "ClipPrompts",
    "ModalityPrompts",
    "PromptBank",
    "PromptMeta",
    "PromptStore",
    "PromptStoreWriter",
    "Sequence",
    "SkeletonStore",
    "SkeletonStoreWriter",
    "StoreMeta",
    "check_sequence",
    "cost_file",
    "open_prompts",
    "open_store",
    "read_jpeg",
    "tile_pictures",
    "write_jpeg",
]
