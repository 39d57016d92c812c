"""An ONNX file in whole numbers of 8 bits, and what that changes: its answers, its size and its time."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Rows
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from kinelex.data import SkeletonStore
from kinelex.errors import InputError
from kinelex.inference.export.agreement import Arrays
from kinelex.inference.known_clips import TrainingClips, training_clips
from kinelex.inference.model import Model
from kinelex.skeleton import SkeletonLayout
from kinelex.training.run_directory import RunDirectory

_CLIPS = 128  # at most, to calibrate with, and as many others to compare on
_SAME, _COSINE = 0.9, 0.5  # labels that stay, and the lowest cosine, of what is accepted
_SMALLER = 0.9  # what an 8-bit file takes at most, as a share of the other one
_SCOPES = "pkg.torch.onnx.name_scopes"  # where the exporter says which module a node is of


def clips_for_int8(model: Model, layout: SkeletonLayout) -> TrainingClips:
    """The training clips of a run, by which a file in 8 bits is made and judged.

    Args:
        model: the run, with the store that it was trained on.
        layout: the layout of clips that the file will read.

    Raises:
        InputError: no training clips, or of another layout than the file reads.
    """
    clips = training_clips(RunDirectory(model.run).config, model.data)
    if clips.store.layout.joints != layout.joints:
        raise InputError(
            f"int8 is calibrated on the training clips, which are of {clips.store.layout.name}: leave out "
            f"the layout {layout.name}"
        )
    if len(clips.learned) < 2:
        raise InputError(f"int8 needs two training clips or more, {clips.store.path} has one")
    return clips


def in_int8(content: bytes, clips: TrainingClips, resamples: bool) -> tuple[bytes, dict[str, Any]]:
    """An exported run with its encoders' weights in 8 bits, and how it differs from what it was.

    Convolutions compute in 8 bits, their inputs in ranges that training clips have (static quantisation);
    linear layers in ranges that are measured as they compute (dynamic). The preparation, what compares
    with known clips and what tells the classes stay as they are. Weights have 7 bits, one range per channel:
    with 8 of them sums overflow on processors without VNNI.

    Args:
        content: the ONNX file.
        clips: those that the run learned; one half calibrates, the other is compared.
        resamples: whether the file asks for frame rates.

    Returns:
        The file, and ``clips`` that it was compared on, ``same_label`` (a share of them; None where it tells
        no classes), ``cosine`` (the lowest of features), ``bytes`` and ``ms`` (the median of a clip, one
        thread, processor time), each of these two of the float file and of the other one.

    Raises:
        InputError: layers that have no form in 8 bits, or answers that such weights change.
    """
    import onnx

    rows = clips.learned[np.unique(np.linspace(0, len(clips.learned) - 1, 2 * _CLIPS).astype(int))]
    given = [_given(clips.store, row, resamples) for row in rows]
    before = onnx.load_from_string(content)
    after = _quantised(before, given[::2])
    after.ClearField("metadata_props")
    after.metadata_props.extend(before.metadata_props)
    large, small = map(without_scopes, (before, after))
    found = _compared(large, small, given[1::2])
    _check(found)
    return small, found


def _check(found: dict[str, Any]) -> None:
    """Raise an InputError where a file in 8 bits is of no use."""
    large, small = found["bytes"]
    if small > _SMALLER * large:
        raise InputError(
            "onnxruntime has no form in 8 bits for most layers of this encoder (it has none of a GRU): "
            f"{small / 1e6:.1f} MB instead of {large / 1e6:.1f}; leave out int8"
        )
    same, cosine = found["same_label"], found["cosine"]
    if cosine < _COSINE or (same is not None and same < _SAME):
        labels = "" if same is None else f"{100 * (1 - same):.0f} % get another label, "
        raise InputError(
            f"weights in 8 bits change what the run says: of {found['clips']} training clips {labels}the "
            f"lowest cosine of features is {cosine:.2f}; leave out int8"
        )


def without_scopes(proto: Any) -> bytes:
    """A model as a file, without the places in the code that its nodes come from: a third of a small one."""
    for part in (*proto.graph.node, *proto.graph.value_info, *proto.graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    content: bytes = proto.SerializeToString()
    return content


def _given(store: SkeletonStore, row: int, resamples: bool) -> dict[str, np.ndarray]:
    """A clip of a store as the file reads it."""
    x = np.array(store.sequence(int(row)), np.float32)[None]
    rate = {"fps": store.fps[[row]].astype(np.float64)} if resamples else {}
    return {"frames": x, "presence": (x != 0).any(axis=4), **rate}


def _quantised(proto: Any, clips: Rows[Arrays]) -> Any:
    """A model whose encoders compute in 8 bits, as far as onnxruntime can."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Clips(CalibrationDataReader):  # type: ignore[misc,unused-ignore]
        left = iter(clips)

        def get_next(self) -> Mapping[str, np.ndarray] | None:
            return next(self.left, None)

    of_encoders = {node.name for node in proto.graph.node if _is_of_encoder(node)}
    options: dict[str, Any] = {"per_channel": True, "reduce_range": True, "weight_type": QuantType.QInt8}
    with TemporaryDirectory() as folder, quiet():
        path = Path(folder) / "small.onnx"
        path.write_bytes(proto.SerializeToString())
        quant_pre_process(path, path, skip_symbolic_shape=True)  # weights that are computed become numbers
        proto = onnx.load(path)
        weights = {value.name for value in proto.graph.initializer}
        layers = [n for n in proto.graph.node if n.name in of_encoders and weights.intersection(n.input[:2])]
        if convolutions := [n.name for n in layers if n.op_type == "Conv"]:
            quantize_static(proto, path, Clips(), nodes_to_quantize=convolutions, **options)
            proto = onnx.load(path)
        if linear := [n.name for n in layers if n.op_type in ("MatMul", "Gemm")]:
            quantize_dynamic(proto, path, nodes_to_quantize=linear, **options)
            proto = onnx.load(path)
    return proto


def _is_of_encoder(node: Any) -> bool:
    scopes = next((p.value for p in node.metadata_props if p.key == _SCOPES), "")
    return ".encoder'" in scopes  # not what surrounds it in ``encoders.STREAM``


def _compared(before: bytes, after: bytes, clips: Rows[Arrays]) -> dict[str, Any]:
    """What two files say of the same clips; see :func:`in_int8`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    sessions = [onnxruntime.InferenceSession(c, options, ["CPUExecutionProvider"]) for c in (before, after)]
    names = [output.name for output in sessions[0].get_outputs()]
    said: list[list[dict[str, np.ndarray]]] = [[], []]
    seconds: list[list[float]] = [[], []]
    for clip in clips:
        for session, answers, times in zip(sessions, said, seconds, strict=True):
            start = time.process_time()
            found = session.run(names, dict(clip))
            times.append(time.process_time() - start)
            answers.append(dict(zip(names, (x[0] for x in found), strict=True)))
    pairs = list(zip(*said, strict=True))
    cosines = [
        np.vdot(*f) / max(float(np.prod([np.linalg.norm(x) for x in f])), 1e-12)
        for f in ([one["features"] for one in pair] for pair in pairs)
    ]
    same = [np.equal(*(one["probabilities"].argmax() for one in pair)) for pair in pairs if "scores" in names]
    return {
        "clips": len(pairs),
        "same_label": float(np.mean(same)) if same else None,
        "cosine": float(min(cosines)),
        "bytes": [len(before), len(after)],
        "ms": [1000 * float(np.median(times)) for times in seconds],
    }


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what exporter and quantiser say of packages that no run needs, and advise, to themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
