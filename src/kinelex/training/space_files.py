"""The space of clips and prompts in a run directory: ``projectors.safetensors``."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from kinelex.errors import InputError, one_line
from kinelex.files.atomic import write_whole
from kinelex.files.bounded import safe_json
from kinelex.methods.embedding_space import EmbeddingSpace

_FILE, _KEY = "projectors.safetensors", "space"


def save_space(run: Path, space: EmbeddingSpace) -> None:
    """Write ``projectors.safetensors``: projectors, and mean and scale of the training part's prompts.

    Args:
        run: the run directory.
        space: the space; its form goes into the file's metadata.
    """
    state = {name: value.detach().cpu().contiguous() for name, value in space.state_dict().items()}
    write_whole(run / _FILE, save(state, {_KEY: json.dumps(space.description())}))


def space_file(run: Path) -> Path:
    """Where a run keeps its space."""
    return run / _FILE


def load_space(run: Path) -> EmbeddingSpace | None:
    """The space of a run, in eval mode on the CPU; None where its method makes none.

    Raises:
        InputError: a damaged file.

    >>> load_space(Path("no_run")) is None
    True
    """
    path = space_file(run)
    if not path.is_file():
        return None
    try:
        with safe_open(str(path), "pt") as file:
            description = safe_json(file.metadata()[_KEY])
        space = EmbeddingSpace.from_description(description)
        space.load_state_dict(load_file(str(path)))
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        if isinstance(error, InputError):
            raise
        reason = one_line(error)[:200]
        raise InputError(f"{path} is damaged: {reason}") from error
    return space.eval()
