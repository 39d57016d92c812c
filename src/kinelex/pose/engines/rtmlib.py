"""RTMPose by rtmlib: a detector of persons, then key points of each, as ONNX models.

Source: Jiang et al.: RTMPose: real-time multi-person pose estimation based on MMPose, 2023, arXiv:2303.07399.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kinelex.errors import InputError, one_line, unknown_name
from kinelex.files.download import file_digest
from kinelex.pose.base import PoseEngine, Poses
from kinelex.skeleton import get_layout

BODIES = {"body": ("Body", "coco17"), "feet": ("BodyWithFeet", "halpe26"), "whole": ("Wholebody", "coco133")}
MODES = ("lightweight", "balanced", "performance")


class RtmLib(PoseEngine):
    """RTMPose by rtmlib: 17, 26 or 133 joints in pixels.

    Without model and detector, rtmlib loads those of the mode from their maker, once.

    Args:
        persons: how many persons are followed at most; the models find all.
        body: which joints: body (coco17), feet (halpe26) or whole (coco133, with face and hands).
        mode: how large the models are: lightweight, balanced or performance.
        model: ONNX file of the key points.
        detector: ONNX file of the detector of persons (YOLOX).
        device: where the models run: cpu or cuda.
    """

    name: ClassVar[str] = "rtmlib"
    least: ClassVar[float] = 0.3

    def __init__(
        self,
        persons: int,
        *,
        body: str = "body",
        mode: str = "balanced",
        model: str | None = None,
        detector: str | None = None,
        device: str = "cpu",
    ) -> None:
        super().__init__(persons)
        if body not in BODIES:
            raise unknown_name("pose.body", body, BODIES)
        if mode not in MODES:
            raise unknown_name("pose.mode", mode, MODES)
        name, layout = BODIES[body]
        self.layout = get_layout(layout)
        rtmlib = _need_rtmlib()
        self._files = [Path(file) for file in (detector, model) if file is not None]
        usual = getattr(rtmlib, name).MODE[mode]
        how = {"backend": "onnxruntime", "device": device}
        self._detector = _load(rtmlib.YOLOX, detector, usual["det"], usual["det_input_size"], how)
        self._model = _load(rtmlib.RTMPose, model, usual["pose"], usual["pose_input_size"], how)

    def detect(self, picture: np.ndarray, time: float) -> Poses:
        blue_first = np.ascontiguousarray(picture[..., ::-1])
        boxes = np.asarray(self._detector(blue_first), np.float32).reshape(-1, 4)
        joints = self.layout.num_joints
        if not len(boxes):  # the key points' model would take the whole picture for somebody
            return Poses.nobody(0, joints, world=False)
        places, scores = self._model(blue_first, bboxes=boxes)
        if places.shape[1:] != (joints, 2):
            raise InputError(
                f"pose.model gives {places.shape[1]} joints, expects {joints} ({self.layout.name}): "
                "see pose.body"
            )
        return Poses(places.astype(np.float32), np.clip(scores, 0, 1).astype(np.float32))

    def files(self) -> tuple[str, ...]:
        return tuple(f"{path.name} {file_digest(path)}" for path in self._files)


def _need_rtmlib() -> Any:
    try:
        import onnxruntime  # noqa: F401  # rtmlib imports it late
        import rtmlib
    except (ImportError, OSError) as error:  # OSError, ImportError: a library of the system is not there
        reason = "" if isinstance(error, ModuleNotFoundError) else f" (it says: {one_line(error)[:200]})"
        raise InputError(
            f"the pose engine rtmlib needs its package: pip install 'kinelex[pose]'{reason}"
        ) from error
    return rtmlib


def _load(kind: Any, given: str | None, address: str, size: tuple[int, int], how: dict[str, str]) -> Any:
    """A model of rtmlib from the user's file, or from where its maker offers it."""
    if given is not None:
        height, width = _input_size(Path(given))
        size = (width, height) if size[0] < size[1] else (height, width)  # key points: width first
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it loads
            return kind(given or address, model_input_size=size, **how)
    except Exception as error:  # of rtmlib, onnxruntime and the network, each of its own kind
        raise InputError(
            f"rtmlib cannot load {given or address} ({one_line(error)[:200]}): expects a network, or "
            "pose.detector=FILE and pose.model=FILE with ONNX files of rtmlib's model zoo"
        ) from error


def _input_size(path: Path) -> tuple[int, int]:
    """Height and width of the pictures that an ONNX model takes."""
    import onnxruntime

    if not path.is_file():
        raise InputError(f"there is no file {path}: expects an ONNX model of rtmlib's model zoo")
    try:
        shape = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).get_inputs()[0].shape
    except Exception as error:  # onnxruntime has a kind for each thing that can be wrong
        raise InputError(f"{path} is no ONNX model ({one_line(error)[:200]})") from error
    if len(shape) != 4 or not all(isinstance(side, int) for side in shape[2:]):
        raise InputError(f"{path}: takes {shape}, expects pictures of a fixed size (1, 3, height, width)")
    return shape[2], shape[3]
