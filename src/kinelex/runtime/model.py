"""A model in an ONNX file: clips in, predictions out."""

from __future__ import annotations

import json
from collections.abc import Sequence as Rows
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.runtime.predictions import ClipPrediction, Predictions

METADATA = "kinelex"  # the key under which a file says what it is
VERSION = 1


def load(path: str | Path, threads: int | None = None, providers: Rows[str] | None = None) -> ExportedModel:
    """Open a file that ``kinelex export`` made.

    Args:
        path: the ONNX file.
        threads: how many cores one clip may use; by default all.
        providers: where onnxruntime computes; by default on the CPU.

    Raises:
        ValueError: no file, no ONNX, or none that kinelex exported.
    """
    import onnxruntime

    if not Path(path).is_file():
        raise ValueError(f"{path} is no file: expects what `kinelex export RUN --out run.onnx` wrote")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=list(providers or ["CPUExecutionProvider"])
        )
    except Exception as error:  # onnxruntime's own have no common class
        raise ValueError(f"{path} cannot be read by onnxruntime: {' '.join(str(error).split())}") from error
    about = json.loads(session.get_modelmeta().custom_metadata_map.get(METADATA, "{}"))
    if about.get("format_version") != VERSION:
        raise ValueError(
            f"{path} was not made by `kinelex export`, or by another version of it: expects format "
            f"{VERSION}, got {about.get('format_version')}"
        )
    return ExportedModel(session, about)


class ExportedModel:
    """A run that answers without torch; made by :func:`load`.

    Args:
        session: onnxruntime's.
        about: what the file says about itself: ``classes``, ``layout`` (``name``, ``joints``, ``parents``),
            ``coordinates``, ``persons``, ``fps``, ``calibration`` and more.
    """

    def __init__(self, session: Any, about: dict[str, Any]) -> None:
        self.session, self.about = session, about

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; none where the file gives features alone."""
        return tuple(self.about["classes"])

    def __repr__(self) -> str:
        layout = self.about["layout"]["name"]
        return f"{type(self).__name__}({self.about['run']!r}: {len(self.classes)} classes of {layout})"

    def predict(
        self, frames: np.ndarray | Rows[np.ndarray], fps: float | Rows[float] | None = None
    ) -> ClipPrediction | Predictions:
        """Say of which class clips are, as ``kinelex.load_model(RUN).predict`` does.

        Args:
            frames: one clip, or a list of clips, in the layout of the file.
            fps: frames per second, of all clips or of each; for files that resample to one rate.

        Shape:
            - frames: (T, V, C) or (T, M, V, C); absent persons and joints are zeros

        Raises:
            ValueError: clips of another form, without a body, or with numbers that are none; no frame rate
                where one is needed; or a file that gives features alone.
        """
        if not self.classes:
            raise ValueError("this file gives features alone: ask features(), or export without --features")
        clips, rates, one = self._clips(frames, fps)
        found = [
            self._said(f"clip {i}", x, rate) for i, (x, rate) in enumerate(zip(clips, rates, strict=True))
        ]
        return found[0] if one else Predictions(found)

    def features(
        self, frames: np.ndarray | Rows[np.ndarray], fps: float | Rows[float] | None = None
    ) -> np.ndarray:
        """Features of clips; arguments as of :meth:`predict`.

        Shape:
            - frames: (T, V, C) or (T, M, V, C); returns: (clips, F), of one clip (F,)
        """
        clips, rates, one = self._clips(frames, fps)
        found = [self._run(["features"], x, rate)[0] for x, rate in zip(clips, rates, strict=True)]
        return found[0] if one else np.stack(found)

    def _said(self, name: str, x: np.ndarray, rate: float | None) -> ClipPrediction:
        """The answer for all persons, and for each of several alone."""
        present = np.flatnonzero(x.any(axis=(0, 2, 3)))
        alone = [
            self._said(f"{name}, person {m}", np.ascontiguousarray(x[:, m : m + 1]), rate)
            for m in (present if len(present) > 1 else ())
        ]
        near = "neighbour" in self.about["outputs"]  # else a clip is known by its highest score
        probabilities, known = self._run(["probabilities", "neighbour" if near else "scores"], x, rate)
        about = (self.classes, probabilities.astype(np.float64), float(known.max()))
        threshold = self.about["calibration"]["neighbour" if near else "threshold"]
        own = ClipPrediction(name, *about, threshold)
        return ClipPrediction(name, *about, threshold, tuple(alone) or (own,))

    def _run(self, outputs: list[str], x: np.ndarray, rate: float | None) -> list[np.ndarray]:
        """Outputs of one clip (T, M, V, C)."""
        given = {"frames": x[None], "presence": (x[None] != 0).any(axis=4)}
        if self.about["fps"] is not None:
            given["fps"] = np.array([rate], np.float64)
        return [output[0] for output in self.session.run(outputs, given)]

    def _clips(self, frames: Any, fps: Any) -> tuple[list[np.ndarray], list[float | None], bool]:
        """Clips (T, M, V, C), their rates, and whether one was given."""
        one = isinstance(frames, np.ndarray) or not isinstance(frames, list | tuple)
        arrays = [np.asarray(frames)] if one else [np.asarray(x) for x in frames]
        if not arrays:
            raise ValueError("expects at least one clip, got none")
        if self.about["fps"] is not None and fps is None:
            raise ValueError(
                f"this model resamples clips to {self.about['fps']:g} frames per second: pass fps="
            )
        if np.shape(fps) not in ((), (1,), (len(arrays),)):
            raise ValueError(f"expects one fps or one for each of {len(arrays)} clips, got {len(fps)}")
        rates = [None] * len(arrays) if fps is None else np.broadcast_to(fps, len(arrays)).tolist()
        if any(rate is not None and not 0 < rate < np.inf for rate in rates):
            raise ValueError(f"expects a positive number of frames per second, got {fps}")
        return [self._clip(number, x) for number, x in enumerate(arrays)], rates, one

    def _clip(self, number: int, x: np.ndarray) -> np.ndarray:
        layout, wanted = self.about["layout"], self.about["coordinates"]
        joints = len(layout["joints"])
        if x.ndim not in (3, 4) or x.shape[-2:] != (joints, wanted) or x.dtype.kind not in "fiu":
            raise ValueError(
                f"clip {number} expects numbers (T, {joints}, {wanted}) or (T, M, {joints}, {wanted}): "
                f"frames, persons, joints of {layout['name']}, coordinates; got shape {x.shape} of {x.dtype}"
            )
        with np.errstate(over="ignore"):
            x = np.ascontiguousarray(x[:, None] if x.ndim == 3 else x, np.float32)
        if not np.isfinite(x).all():
            raise ValueError(
                f"clip {number} has numbers that are none (NaN, infinite): absent joints are zeros"
            )
        if not x.any():
            raise ValueError(f"clip {number} has no frames, or no body in any frame (all coordinates are 0)")
        return x
