"""The two files on disk: the skeleton store and the prompt store."""

from kinelex.store._jpeg import read_jpeg, tile_pictures, write_jpeg
from kinelex.store._prompt_writer import (
    WHOLE_CLIP,
    ClipPrompts,
    ModalityPrompts,
    PromptBank,
    PromptMeta,
    PromptStoreWriter,
    cost_file,
)
from kinelex.store._sequence import Sequence, StoreMeta, check_sequence
from kinelex.store._skeleton_writer import SkeletonStoreWriter
from kinelex.store.prompt_store import PromptStore, open_prompts
from kinelex.store.skeleton_store import SkeletonStore, open_store

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
