"""MediaPipe's Pose Landmarker (BlazePose GHUM): 33 joints, in the picture and in space.

Source: Bazarevsky et al.: BlazePose: on-device real-time body pose tracking, 2020, arXiv:2006.10204;
Grishchenko et al.: BlazePose GHUM Holistic, 2022, arXiv:2206.11678; MediaPipe, guide of the Pose Landmarker.
"""

from __future__ import annotations

import contextlib
import os
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kinelex.errors import InputError, one_line
from kinelex.files.download import cache_folder, download, file_digest
from kinelex.pose.base import PoseEngine, Poses
from kinelex.skeleton import get_layout

ADDRESS = (
    "https://storage.googleapis.com/mediapipe-models/pose_landmarker/pose_landmarker_full/float16/1/"
    "pose_landmarker_full.task"
)
SHA256 = "4eaa5eb7a98365221087693fcc286334cf0858e2eb6e15b506aa4a7ecdcec4ad"
VARIABLE = "KINELEX_POSE_MODEL"
_TURN = np.array([-1, -1, 1], np.float32)  # right, down, away to the axes of Kinect's camera: half a turn
_JOINTS = 33
_MARGIN = 0.02  # around a person who is covered, of the longer side of the box


class MediaPipe(PoseEngine):
    """MediaPipe's Pose Landmarker: 33 joints in pixels and in metres.

    Args:
        persons: how many persons are looked for at most.
        model: file pose_landmarker_lite.task, _full.task or _heavy.task; by default the one that
            KINELEX_POSE_MODEL names, or pose_landmarker_full.task, which is loaded once and kept.
        detection: confidence from which on somebody is found, 0 to 1.
        presence: confidence from which on somebody who was found is a body.
        tracking: confidence below which somebody who is followed is looked for anew.
        again: where fewer persons are found than looked for, look again with those who were found covered;
            where several stand close the model finds but one of them.
    """

    name: ClassVar[str] = "mediapipe"
    world: ClassVar[bool] = True
    least: ClassVar[float] = 0.1

    def __init__(
        self,
        persons: int,
        *,
        model: str | None = None,
        detection: float = 0.5,
        presence: float = 0.5,
        tracking: float = 0.5,
        again: bool = True,
    ) -> None:
        super().__init__(persons)
        limits = {"detection": detection, "presence": presence, "tracking": tracking}
        for option, value in limits.items():
            if not 0 <= value <= 1:
                raise InputError(f"pose.{option}={value}: expects a confidence from 0 to 1")
        self.layout = get_layout("mediapipe33")
        self._image, vision, base_options = _need_mediapipe()
        self._path = _find_model(model)
        _check_task(self._path)
        self._last = -1  # milliseconds
        self._first = True
        options = vision.PoseLandmarkerOptions(
            base_options=base_options(model_asset_path=str(self._path)),
            running_mode=vision.RunningMode.VIDEO,
            num_poses=persons,
            min_pose_detection_confidence=detection,
            min_pose_presence_confidence=presence,
            min_tracking_confidence=tracking,
        )
        try:
            with _silence():
                self._landmarker = vision.PoseLandmarker.create_from_options(options)
                self._others = None
                if again and persons > 1:
                    options.running_mode, options.num_poses = vision.RunningMode.IMAGE, persons - 1
                    self._others = vision.PoseLandmarker.create_from_options(options)
        except (RuntimeError, ValueError, OSError) as error:
            raise InputError(
                f"{self._path} is no model of a Pose Landmarker ({one_line(error)[:200]}): expects "
                "pose_landmarker_lite.task, _full.task or _heavy.task"
            ) from error

    def detect(self, picture: np.ndarray, time: float) -> Poses:
        self._last = max(round(time * 1000), self._last + 1)
        with _silence() if self._first else contextlib.nullcontext():
            found = _poses(self._landmarker.detect_for_video(self._image(picture), self._last), picture)
            if self._others is not None and 0 < len(found) < self.persons:
                covered = _covered(picture, found)
                found = found.beside(_poses(self._others.detect(self._image(covered)), picture))
        self._first = False
        return found.pick(range(min(self.persons, len(found))))

    def close(self) -> None:
        with _silence():
            self._landmarker.close()
            if self._others is not None:
                self._others.close()

    def files(self) -> tuple[str, ...]:
        return (f"{self._path.name} {file_digest(self._path)}",)


def _poses(found: Any, picture: np.ndarray) -> Poses:
    """What the model says of a picture."""
    height, width = picture.shape[:2]
    places = _numbers(found.pose_landmarks, ("x", "y", "visibility"))
    world = _numbers(found.pose_world_landmarks, ("x", "y", "z"))
    return Poses(places[..., :2] * np.array([width, height], np.float32), places[..., 2], world * _TURN)


def _covered(picture: np.ndarray, found: Poses) -> np.ndarray:
    """The picture with a grey box over each person."""
    covered = picture.copy()
    for joints in found.image:
        low, high = joints.min(axis=0), joints.max(axis=0)
        margin = _MARGIN * (high - low).max()
        (left, top), (right, bottom) = (
            (low - margin).clip(0).astype(int),
            (high + margin).clip(0).astype(int) + 1,
        )
        covered[top:bottom, left:right] = 127
    return covered


def _numbers(persons: Any, names: tuple[str, ...]) -> np.ndarray:
    """Landmarks as an array (M, V, C)."""
    rows = [[[getattr(joint, name) for name in names] for joint in person] for person in persons]
    return np.array(rows, np.float32).reshape(-1, _JOINTS, len(names))


def _need_mediapipe() -> tuple[Any, Any, Any]:
    """What makes an image of an array, the tasks for pictures, and the options of models."""
    try:
        with _silence():
            import mediapipe
            from mediapipe.tasks.python import BaseOptions, vision
    except (ImportError, OSError) as error:  # OSError: a library of the system that it needs is not there
        reason = "" if isinstance(error, ModuleNotFoundError) else f" (it says: {one_line(error)[:200]})"
        raise InputError(
            f"the pose engine mediapipe needs its package: pip install 'kinelex[pose]'{reason}"
        ) from error

    def image(picture: np.ndarray) -> Any:
        data = np.ascontiguousarray(picture)
        return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=data)

    return image, vision, BaseOptions


def _find_model(given: str | None) -> Path:
    """The file that is given, that of ``KINELEX_POSE_MODEL``, the kept one, or a new one from its maker."""
    named, how = (given, "pose.model") if given else (os.environ.get(VARIABLE), VARIABLE)
    if named:
        path = Path(os.path.expanduser(named))
        if not path.is_file():
            raise InputError(
                f"{how}: there is no file {path}: expects a model file such as {Path(ADDRESS).name}"
            )
        return path
    path = cache_folder() / Path(ADDRESS).name
    if not path.is_file():
        advice = f": load it where there is a network, and name it with pose.model=FILE or {VARIABLE}=FILE"
        download(ADDRESS, path, SHA256, advice)
    return path


def _check_task(path: Path) -> None:
    """Refuse a file that is cut or damaged, before native code reads it: a .task file is a zip file."""
    try:
        with zipfile.ZipFile(path) as file:
            wrong = file.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise InputError(f"{path} is no .task file, or damaged ({one_line(error)}): load it again") from error
    if wrong is not None:
        raise InputError(f"{path} is damaged ({wrong} in it): load it again")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep what native code tells about its beginnings off the terminal."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
