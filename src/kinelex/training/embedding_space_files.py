"""The embedding space of clips and prompts in a run directory: ``projectors.safetensors``."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from kinelex.errors import InputError, one_line
from kinelex.files.atomic import write_whole
from kinelex.files.bounded import safe_json
from kinelex.methods.embedding_space import EmbeddingSpace

FILE, _KEY = "projectors.safetensors", "space"  # the key of the metadata, since version 0.1


def save_embedding_space(run: Path, space: EmbeddingSpace) -> None:
    """Write projectors, and mean and scale of the training prompts; the form goes into the metadata."""
    state = {name: value.detach().cpu().contiguous() for name, value in space.state_dict().items()}
    write_whole(run / FILE, save(state, {_KEY: json.dumps(space.description())}))


def load_embedding_space(run: Path) -> EmbeddingSpace | None:
    """The embedding space of a run, in eval mode on the CPU; None where its method makes none.

    >>> load_embedding_space(Path("no_run")) is None
    True
    """
    path = run / FILE
    if not path.is_file():
        return None
    try:
        with safe_open(str(path), "pt") as file:
            description = safe_json(file.metadata()[_KEY])
        space = EmbeddingSpace.from_description(description)
        space.load_state_dict(load_file(str(path)))
    except InputError:
        raise
    except (OSError, LookupError, TypeError, ValueError, ArithmeticError, RuntimeError, SafetensorError) as e:
        raise InputError(f"{path} is damaged: {one_line(e)[:200]}") from e
    return space.eval()
