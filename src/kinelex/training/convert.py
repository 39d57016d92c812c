"""Turn published checkpoints into run directories that ``evaluate`` takes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kinelex import encoders
from kinelex.encoders import Encoder
from kinelex.errors import InputError, unknown_name
from kinelex.methods._cmd_checkpoint import encoder_options, published_to_encoders
from kinelex.skeleton import SkeletonLayout, get_layout
from kinelex.training.encoder_files import save_encoders
from kinelex.training.recipe import find_recipe, resolve
from kinelex.training.run_directory import RunDirectory
from kinelex.transforms import InputPipeline

SOURCES = ("cmd",)
_AS_PUBLISHED = "cmd/ntu60"  # the recipe whose input section is how the published code prepares clips


def convert(
    checkpoint: str | Path, source: str, out: str | Path, layout: str | SkeletonLayout = "ntu25"
) -> RunDirectory:
    """Make a run directory of a published checkpoint; sizes are read off its weights.

    The run is judged with ``evaluate(run, data=STORE, protocol=P)``. Its input is prepared as at the
    publication's test time: 64 frames of the middle 95 %, bodies filled in, centred and aligned.

    Args:
        checkpoint: the file, for example ``checkpoint_0450.pth.tar`` of CMD. Only tensors and plain values
            are read from it, no code.
        source: which publication's: ``cmd``.
        out: the run directory to make.
        layout: the skeleton layout that it was trained on.

    Raises:
        InputError: the file is missing, damaged, holds code or is another method's; the layout does not
            fit; or ``out`` is there already.
    """
    if source not in SOURCES:
        raise unknown_name("source of checkpoints", source, SOURCES)
    path = Path(checkpoint)
    content = _load_safely(path)
    if not isinstance(layout, SkeletonLayout):
        layout = get_layout(layout)
    made, options = _cmd_encoders(_state_dict(content, path), layout, path)
    recipe = resolve(*find_recipe(_AS_PUBLISHED))
    epoch = content.get("epoch")
    config: dict[str, Any] = {
        "recipe": None,
        "converted": {"from": source, "file": path.name, "epoch": epoch if isinstance(epoch, int) else None},
        "data": None,
        "dataset": None,
        "protocol": None,
        "prompts": None,
        "method": {"name": source},
        "encoder": options,
        "input": recipe.to_dict()["input"],
    }
    run = RunDirectory.create(out, config)
    save_encoders(run.path, made, options, InputPipeline(layout, recipe.input))
    return run


def _load_safely(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f"{path} is no file; expects a checkpoint, for example checkpoint_0450.pth.tar")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the pickle's protocol
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything; weights_only keeps it from running
        raise InputError(
            f"{path} cannot be read: expects a PyTorch checkpoint of tensors and plain values; this one is "
            "damaged, something else, or holds objects that run code when they are read (it was not run)"
        ) from error
    if not isinstance(content, dict):
        raise InputError(
            f"{path} holds a {type(content).__name__}, expects a checkpoint with the key state_dict"
        )
    return content


def _state_dict(content: dict[str, Any], path: Path) -> dict[str, Tensor]:
    state = content.get("state_dict", content)
    if not isinstance(state, dict) or not any(isinstance(v, Tensor) for v in state.values()):
        keys = ", ".join(map(str, list(content)[:5])) or "nothing"
        raise InputError(f"{path} has no state_dict with weights, it has the keys {keys}")
    return {str(name): value for name, value in state.items() if isinstance(value, Tensor)}


def _cmd_encoders(
    state: dict[str, Tensor], layout: SkeletonLayout, path: Path
) -> tuple[dict[str, Encoder], dict[str, Any]]:
    """The query encoders by stream, and their options as in a recipe."""
    states = published_to_encoders(state, str(path))
    sizes = {stream: encoder_options(own, layout.num_joints) for stream, own in states.items()}
    options = next(iter(sizes.values()))
    if any(other != options for other in sizes.values()):
        raise InputError(f"{path}: the streams' encoders differ in size, expects three of one size: {sizes}")
    made = {}
    for stream, own in states.items():
        made[stream] = encoders.create("gru", layout=layout, **options)
        try:
            made[stream].load_state_dict(own)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{path}: the {stream} encoder's weights do not fit together: {reason}"
            ) from error
    return made, {"name": "gru", **options, "bidirectional": False}
