"""A run as one file that needs no kinelex: ONNX, or a program of ``torch.export``."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kinelex import __version__
from kinelex.errors import InputError, one_line, unknown_name
from kinelex.facts import Facts
from kinelex.files.atomic import check_place, check_target, spare_stores, write_whole
from kinelex.inference.export.agreement import Arrays, check, differences, drawn_clips, largest, said_by
from kinelex.inference.export.graph import RunGraph
from kinelex.inference.export.int8 import clips_for_int8, in_int8, quiet, without_scopes
from kinelex.inference.known_clips import KnownClips
from kinelex.inference.load_model import bare_model, load_model
from kinelex.inference.model import Model
from kinelex.runtime.model import METADATA, VERSION
from kinelex.skeleton import SkeletonLayout, get_layout
from kinelex.training.encoder_files import SkeletonEncoder
from kinelex.transforms import UniformFrames

FORMATS = ("onnx", "torch")
_MOST_NUMBERS = 1 << 22  # of features of known clips: 16 MiB of a file


@dataclass(frozen=True, repr=False)
class ExportedRun(Facts):
    """A file that was exported, and how well it agrees with the run.

    Args:
        path: the file.
        to: its format.
        about: what the file says about itself: classes, layout, persons, rate, calibration.
        differences: of clips of several lengths, the largest difference of each output; before ``int8``.
        int8: what weights in 8 bits changed, see :func:`kinelex.inference.export.int8.in_int8`; else None.
    """

    path: Path
    to: str
    about: dict[str, Any]
    differences: list[dict[str, Any]]
    int8: dict[str, Any] | None = None

    def facts(self) -> dict[str, Any]:
        """File, format, size, and the largest differences."""
        megabytes = f"{self.path.stat().st_size / 1e6:.1f} MB"
        return {"path": str(self.path), "to": self.to, "size": megabytes, **largest(self.differences)}


def export(
    run: str | Path | Model,
    out: str | Path,
    to: str = "onnx",
    *,
    features: bool = False,
    layout: str | SkeletonLayout | None = None,
    int8: bool = False,
    **options: Any,
) -> ExportedRun:
    """Write a run as one file: from raw frames to what ``predict`` says, the preparation inside.

    The file is compared with the run on clips of several lengths and written if they agree.

    Args:
        run: a run directory, or the model that :func:`kinelex.load_model` makes of one.
        out: the file to write.
        to: ``onnx``, which :mod:`kinelex.runtime` reads without torch, or ``torch`` (``torch.export``).
        features: give features alone, and no classes.
        layout: the layout of the clips that the file will read; by default that of the run.
        int8: the encoders' weights in 8 bits, for ``onnx``: a smaller file, for some encoders a faster one,
            whose answers differ a little. It needs the store that the run was trained on.
        **options: what tells the classes, see :class:`kinelex.inference.load_model.ModelOptions`.

    Raises:
        InputError: no finished run, nothing that tells classes, a transform or encoder that has no form in a
            graph, packages that are not installed, a graph that does not agree with the run, or ``int8``
            where it has no form or changes too many answers.

    >>> export("no_run", "run.onnx")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    kinelex.errors.InputError: no_run is no run directory ...
    """
    if to not in FORMATS:
        raise unknown_name("format", to, FORMATS)
    if to == "onnx" and not all(find_spec(name) for name in ("onnxscript", "onnxruntime")):
        raise InputError("ONNX needs onnxscript and onnxruntime: pip install 'kinelex[export]'")
    if int8 and to != "onnx":
        raise InputError(f"int8 is an option of ONNX files: leave it out with {to}")
    path = Path(out)
    check_target(path)
    spare_stores(path)
    check_place(path, f"{path} cannot be written")
    if isinstance(run, Model):
        if options:
            raise InputError(f"{next(iter(options))} is an option of load_model, and a model was given")
        model = run
    else:
        model = (bare_model if features else load_model)(run, **options)
    if any(isinstance(step, UniformFrames) for step in _first(model).pipeline.transforms.transforms.values()):
        raise InputError(
            f"{model.run} averages draws of frames, as PYSKL does (uniform_frames), which has no form in a "
            "graph: expects a run whose input chooses frames once"
        )
    source = get_layout(layout) if isinstance(layout, str) else layout or _first(model).source
    learned = clips_for_int8(model, source) if int8 else None
    encoders = {s: e.reading(source).to("cpu").eval() for s, e in model.encoders.items()}
    persons = _places(model)
    clips = drawn_clips(source, _first(model).encoder.in_channels, persons)
    # Before the graph is made: what transforms keep for the next time (such as weights of joints) is kept
    # now, as numbers, and not while a graph is traced, where there are none.
    known = None if features else _small(model)
    said = said_by(model, clips, not features, known)
    graph = RunGraph(model, encoders, persons, not features, known).eval()
    about = _about(model, source, persons, tuple(said))
    try:
        with quiet():
            program = _traced(graph, clips, about["fps"] is not None)
            content, answer = (_as_onnx if to == "onnx" else _as_torch)(program, about)
    except Exception as error:
        raise _no_form(_first(model), error) from error
    rows = differences(answer, said, clips, about["fps"] is not None)
    check(rows)
    small = None
    if learned is not None:
        content, small = in_int8(content, learned, about["fps"] is not None)
    elif to == "onnx":
        import onnx

        content = without_scopes(onnx.load_from_string(content))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
    return ExportedRun(path, to, about, rows, small)


def _small(model: Model) -> KnownClips | None:
    """The clips that the model knows, as far as their features do not make the file large."""
    if model.known_by != "neighbour" or model.known_clips is None:
        return None
    features = model.known_clips.features
    if features.size <= _MOST_NUMBERS:
        return model.known_clips
    model.say(
        f"the features of the {len(features)} clips that the run knows take {features.size / 2.5e5:.0f} MB "
        "and are left out: the file calls a clip none of the classes by its highest score, not by near clips"
    )
    return None


def _first(model: Model) -> SkeletonEncoder:
    return next(iter(model.encoders.values()))


def _places(model: Model) -> int:
    persons = _first(model).pipeline.config.persons
    if persons is None:
        raise InputError(
            f"{model.run} was trained before runs said how many persons their clips have (input.persons in "
            "its encoder.json): write the number there"
        )
    return persons


def _about(model: Model, source: SkeletonLayout, persons: int, outputs: tuple[str, ...]) -> dict[str, Any]:
    """What the file says about itself."""
    first, classes = _first(model), "scores" in outputs
    return {
        "format_version": VERSION,
        "kinelex": __version__,
        "run": model.run.name,
        "dataset": model.dataset,
        "classes": list(model.classes) if classes else [],
        "by": model.by if classes else "features alone",
        "calibration": model.calibration.numbers() if classes else None,
        "layout": {"name": source.name, "joints": source.joints, "parents": source.parents},
        "coordinates": first.encoder.in_channels,
        "persons": persons,
        "fps": first.pipeline.config.fps,
        "streams": list(model.encoders),
        "outputs": list(outputs),
    }


def _traced(graph: RunGraph, clips: Any, resamples: bool) -> torch.export.ExportedProgram:
    """The graph for any number of clips, frames and persons."""
    x = torch.from_numpy(np.array(clips.sequence(len(clips) - 1)))[None].repeat(3, 1, 1, 1, 1)
    given = [x, (x != 0).any(dim=4)]
    if resamples:
        given.append(torch.full((3,), 30.0, dtype=torch.float64))
    shapes = [dict.fromkeys(range(min(x.ndim, 3)), torch.export.Dim.DYNAMIC) for x in given]
    program = torch.export.export(graph, tuple(given), dynamic_shapes=shapes)
    # What nobody uses is left out here: a .pt2 cannot be read back with it.
    program.graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
    program.graph_module.recompile()
    return program


def _no_form(first: SkeletonEncoder, error: BaseException) -> InputError:
    steps, cause = ", ".join(first.pipeline.transforms.transforms), error
    while isinstance(cause.__cause__, Exception):  # the exporter's own message says where to read on
        cause = cause.__cause__
    return InputError(
        f"the run has no form in a graph: one of its transforms ({steps}) or its encoder "
        f"{type(first.encoder).__name__} does what a graph cannot ({one_line(cause)[:300]})"
    )


def _as_onnx(
    program: torch.export.ExportedProgram, about: dict[str, Any]
) -> tuple[bytes, Callable[[Arrays], Arrays]]:
    """An ONNX file, and what answers by it."""
    import onnxruntime

    inputs = ["frames", "presence", "fps"][: 2 + (about["fps"] is not None)]
    made = torch.onnx.export(
        program,
        input_names=inputs,
        output_names=about["outputs"],
        custom_translation_table={torch.ops.aten.where.self: _where},
        dynamo=True,
        verbose=False,
    )
    assert made is not None
    made.model.metadata_props[METADATA] = json.dumps(about)
    content = made.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def answer(given: Arrays) -> Arrays:
        return dict(zip(about["outputs"], session.run(about["outputs"], dict(given)), strict=True))

    return content, answer


def _where(condition: Any, this: Any, other: Any) -> Any:
    """``torch.where`` in ONNX, of whose ``Where`` onnxruntime has no form for booleans."""
    from onnxscript import opset18 as op

    if this.dtype is None or this.dtype.name != "BOOL":
        return op.Where(condition, this, other)
    return op.Or(op.And(condition, this), op.And(op.Not(condition), other))


def _as_torch(
    program: torch.export.ExportedProgram, about: dict[str, Any]
) -> tuple[bytes, Callable[[Arrays], Arrays]]:
    """A program of ``torch.export``, and what answers by it once it is read back."""
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={METADATA: json.dumps(about)})
    # Guards are of how the example lay in memory, which changes no number.
    module = torch.export.load(io.BytesIO(file.getvalue())).module(check_guards=False)

    def answer(given: Arrays) -> Arrays:
        with torch.inference_mode():
            found = module(*(torch.from_numpy(x) for x in given.values()))
        return {name: x.numpy() for name, x in zip(about["outputs"], found, strict=True)}

    return file.getvalue(), answer
