"""Turn published checkpoints into run directories that ``evaluate`` takes."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from kinelex import encoders
from kinelex.data import open_store
from kinelex.datasets.reader import class_names
from kinelex.encoders import Encoder
from kinelex.encoders.published import ctrgcn, hdgcn, msg3d, pyskl
from kinelex.encoders.published.cmd import encoder_options, published_to_encoders
from kinelex.errors import InputError, check_name, one_line, unknown_name
from kinelex.skeleton import STREAMS, SkeletonLayout, get_layout
from kinelex.training.encoder_files import save_run
from kinelex.training.recipe import find_recipe, plain, resolve
from kinelex.training.run_directory import RunDirectory
from kinelex.transforms import InputConfig, InputPipeline

# Classifiers: the encoder's name, and what reads its checkpoints.
_CLASSIFIERS: dict[str, tuple[str, ModuleType]] = {
    "ctrgcn": ("ctrgcn", ctrgcn),
    "mmcl": ("ctrgcn", ctrgcn),
    "hdgcn": ("hdgcn", hdgcn),
    "msg3d": ("msg3d", msg3d),
    "stgcnpp": ("stgcnpp", pyskl),
    "aagcn": ("aagcn", pyskl),
    "pyskl": ("", pyskl),  # which of its networks, the weights tell
}
SOURCES = ("cmd", *_CLASSIFIERS)


@dataclass
class Checkpoint:
    """What a checkpoint holds, in our terms.

    Args:
        encoders: by stream.
        options: their name and options, as in a recipe.
        recipe: the recipe whose input section is how the published code prepares clips.
        changes: what of it is different.
        classifiers: last layers by stream, of what learned from labels.
        class_names: their classes.
    """

    encoders: dict[str, Encoder]
    options: dict[str, Any]
    recipe: str
    changes: dict[str, Any] = field(default_factory=dict)
    classifiers: dict[str, nn.Linear] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()


def convert(
    checkpoint: str | Path,
    source: str,
    out: str | Path,
    layout: str | SkeletonLayout = "ntu25",
    classes: str | Path | None = None,
    stream: str | None = None,
    center: str | None = None,
) -> RunDirectory:
    """Make a run directory of a published checkpoint; sizes are read off its weights.

    The run is judged with ``evaluate(run, data=STORE, protocol=P)``. Its input is prepared as at the
    publication's test time: for NTU and the like 64 frames of the middle 95 %, with CMD bodies filled in,
    centred and aligned, else centred; for CTR-GCN on ``kinect20`` as the code for N-UCLA does it; for MS-G3D
    the whole clip, centred and aligned, stretched to 300 frames (published: repeated up to 300); PYSKL's as
    published: ten times 100 frames, of bodies in space turned into the body's frame, of poses in pictures as
    shares of the picture with their scores (published: the mean of probabilities; here of features).

    Args:
        checkpoint: the file, for example ``checkpoint_0450.pth.tar`` of CMD, ``runs-65-40690.pt`` of
            CTR-GCN. Only tensors and plain values are read from it, no code.
        source: which publication's: ``cmd``, ``ctrgcn``, ``mmcl`` (of which the skeletons' classifier is
            taken), ``hdgcn``, ``msg3d``, or ``pyskl``: its ST-GCN, ST-GCN++, AAGCN and CTR-GCN, which
            the weights tell apart (``stgcnpp`` and ``aagcn`` name two of them).
        out: the run directory to make.
        layout: the skeleton layout that it was trained on.
        classes: names of a classifier's classes: a text file with one per line, or a skeleton store of the
            data set; without, 60 and 120 classes are those of NTU RGB+D, others are numbered from 1.
        stream: what a classifier was trained on, which its weights do not tell; ``joint`` by default.
        center: joint in the centre of HD-GCN's hierarchy, which its weights do not tell either; by default
            the published one (21), ``shoulder_center``.

    Raises:
        InputError: the file is missing, damaged, holds code or is another method's; the layout or the
            number of classes does not fit; an option that the source does not have; or ``out`` is there
            already.
    """
    check_name("source of checkpoints", source, SOURCES)
    if source == "cmd" and (classes is not None or stream is not None):
        raise InputError("a checkpoint of cmd has three streams and no classes: leave out classes and stream")
    if center is not None and source != "hdgcn":
        raise InputError(f"{source} has no centre of a hierarchy: leave out center")
    if stream not in (None, *STREAMS):
        raise unknown_name("stream", str(stream), STREAMS)
    path = Path(checkpoint)
    content = _load_safely(path)
    if not isinstance(layout, SkeletonLayout):
        layout = get_layout(layout)
    state = _state_dict(content, path)
    if source == "cmd":
        ours = _cmd(state, layout, path)
    else:
        more = {} if center is None else {"center": center}
        ours = _classifier(source, state, layout, path, classes, stream or "joint", more)
    first = next(iter(ours.encoders))
    changes = {"persons": ours.encoders[first].places or 1, **ours.changes}  # weights for each place
    listed = "transforms" in changes
    prepared = (
        InputConfig(**changes) if listed else replace(resolve(*find_recipe(ours.recipe)).input, **changes)
    )
    if len(ours.encoders) == 1:
        prepared = replace(prepared, stream=first)
    epoch = content.get("epoch")
    config: dict[str, Any] = {
        "recipe": None,
        "converted": {"from": source, "file": path.name, "epoch": epoch if isinstance(epoch, int) else None},
        "method": {"name": source},
        "encoder": ours.options,
        "input": plain(asdict(prepared)),
    }
    weights = (ours.encoders, ours.options, InputPipeline(layout, prepared))
    return save_run(out, config, *weights, ours.classifiers, ours.class_names)


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
    weights = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
    lost = next((n for n, w in weights.items() if w.is_floating_point() and not w.isfinite().all()), None)
    if lost is not None:
        raise InputError(
            f"{path}: {lost} has values that are no finite numbers: its training diverged, or the file "
            "is damaged"
        )
    return weights


def _cmd(state: dict[str, Tensor], layout: SkeletonLayout, path: Path) -> Checkpoint:
    """The query encoders by stream."""
    states = published_to_encoders(state, str(path))
    sizes = {stream: encoder_options(weights, layout.num_joints) for stream, weights in states.items()}
    options = next(iter(sizes.values()))
    if any(other != options for other in sizes.values()):
        raise InputError(f"{path}: the streams' encoders differ in size, expects three of one size: {sizes}")
    made = {stream: encoders.create("gru", layout=layout, **options) for stream in states}
    networks = {s: _encoder(made[s], weights, path, s) for s, weights in states.items()}
    return Checkpoint(networks, {"name": "gru", **options, "bidirectional": False}, "cmd/ntu60")


def _classifier(
    source: str,
    state: dict[str, Tensor],
    layout: SkeletonLayout,
    path: Path,
    classes: str | Path | None,
    stream: str,
    more: dict[str, Any],
) -> Checkpoint:
    """The classifier of skeletons; what MMCL has beside it (pictures, texts) is left behind."""
    name, checkpoint = _CLASSIFIERS[source]
    name = name or pyskl.network_of(state)
    try:
        weights, last = checkpoint.published_to_encoder(state, str(path))
        options = {**checkpoint.encoder_options(weights, layout.num_joints, str(path)), **more}
    except (RuntimeError, IndexError, KeyError) as error:  # a weight of another shape
        raise InputError(f"{path}: the weights do not fit together: {one_line(error)[:200]}") from error
    if not last:
        raise InputError(
            f"{path} has no fc.weight, the published classifier: there is nothing to evaluate with"
        )
    encoder = _encoder(encoders.create(name, layout=layout, **options), weights, path, stream)
    outputs, width = last["bias"].numel(), encoder.num_features
    if last["weight"].shape != (outputs, width) or last["bias"].ndim != 1:
        raise InputError(
            f"{path}: expects a classifier of {outputs} classes on the encoder's {width} features, fc.weight "
            f"has the shape {tuple(last['weight'].shape)}"
        )
    linear = nn.Linear(width, outputs)
    linear.load_state_dict(last)
    names = _class_names(classes, outputs, path)
    recipe, changes = "mmcl/ntu60", dict[str, Any]()
    if name == "msg3d":
        recipe, changes = "cmd/ntu60", {"frames": 300, "test_crop": 1.0}
    elif checkpoint is pyskl:
        flat = layout.name == "coco17"
        changes = {"transforms": ("pyskl_2d" if flat else "pyskl",), "scores": flat, "persons": 2}
    elif layout.name == "kinect20":
        recipe = "mmcl/nw_ucla_ctrgcn"
    options = {"name": name, **plain(options)}
    return Checkpoint({stream: encoder}, options, recipe, changes, {stream: linear}, names)


def _encoder(encoder: Encoder, state: dict[str, Tensor], path: Path, stream: str) -> Encoder:
    """The encoder with the published weights."""
    fixed = {k: v for k, v in encoder.named_buffers() if k.endswith("adjacency")}  # follow from the layout
    try:
        encoder.load_state_dict({**fixed, **state})
    except RuntimeError as error:
        reason = one_line(error)[:200]
        raise InputError(f"{path}: the {stream} encoder's weights do not fit together: {reason}") from error
    return encoder


def _class_names(classes: str | Path | None, count: int, path: Path) -> tuple[str, ...]:
    """The names of a classifier's outputs: from a text file or a store, else NTU's or numbers from 1."""
    if classes is None:
        return (
            class_names("ntu120")[:count] if count in (60, 120) else tuple(str(k + 1) for k in range(count))
        )
    file = Path(classes)
    if file.suffix == ".arrow":
        names = open_store(file).class_names
    else:
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{file} cannot be read: expects a text file with one class name per line"
            ) from error
        names = tuple(line.strip() for line in lines if line.strip())
    if len(names) != count or len(set(names)) != count:
        raise InputError(
            f"{path} tells {count} classes apart, {file} has {len(set(names))} different names in "
            f"{len(names)} lines: expects one per class, in the order of the published labels"
        )
    return names
