"""The seam: what an engine or an encoder must offer to be made known with :func:`register`.

Engines are made from an :class:`EngineContext` and their options, typed keyword arguments of the constructor;
then they work clip by clip, by row of the store.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from kinelex.data import SkeletonStore
from kinelex.errors import InputError


@dataclass(frozen=True)
class ClipTexts:
    """The texts of one clip: one per sampled frame, and one about all of it where the engine writes one."""

    frames: list[str]
    clip: str | None = None


@dataclass(frozen=True)
class Crops:
    """The pictures of one clip.

    Shape:
        - images: (P, K, H, W, 3) uint8, K views of each of P frames.
        - boxes: (P, 4), x0, y0, x1, y1 in pixels of the frame they were cut from.
        - flags: (P,) bool, True where no person was found and the whole frame was taken.
    """

    images: np.ndarray
    boxes: np.ndarray
    flags: np.ndarray


@runtime_checkable
class FrameSource(Protocol):
    """Pictures of a sequence as it was recorded. An engine names the one it prefers as ``pictures``."""

    def frames(self, row: int, indices: np.ndarray) -> np.ndarray | None:
        """The frames of a clip at the given indices, (P, H, W, 3) uint8; None where it has none."""


@runtime_checkable
class VisionEngine(Protocol):
    """Cuts or draws the person of a clip; ``settings`` holds all that changes its pictures.

    It makes ``views`` pictures per frame, K, of ``default_frames`` frames unless the user asks for others.
    """

    name: str
    version: str
    settings: dict[str, Any]
    views: int
    default_frames: int

    def crops(self, row: int, indices: np.ndarray) -> Crops | None:
        """Pictures at the given frames; None where the clip lacks the modality."""


@runtime_checkable
class LanguageEngine(Protocol):
    """Describes a clip. ``settings`` holds all that changes its texts, a question among them.

    An engine may also have ``texts_of(rows, indices)``, which does many clips at once and yields
    ``(row, ClipTexts | None)`` in any order, and ``default_frames``, where it wants another number than 16.
    """

    name: str
    version: str
    settings: dict[str, Any]

    def texts(self, row: int, indices: np.ndarray) -> ClipTexts | None:
        """Texts for the given frames and the whole clip; None where the clip lacks the modality."""


@runtime_checkable
class TextEncoder(Protocol):
    """Turns texts into embeddings of ``width`` numbers."""

    name: str
    version: str
    width: int

    def encode(self, texts: list[str]) -> np.ndarray:
        """Embeddings (n, width) float32, in the order of the texts."""


@runtime_checkable
class ImageEncoder(Protocol):
    """Turns pictures into embeddings of ``width`` numbers."""

    name: str
    version: str
    width: int

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Embeddings (n, width) float32 of images (n, H, W, 3) uint8."""


@dataclass(frozen=True)
class EngineContext:
    """What an engine is made from.

    Args:
        store: the skeleton store whose clips it describes.
        source: folder of the raw files, for engines that read them.
        pictures: the frames of the clips as they were recorded, where the engine asked for them.
        vision: the vision engine of the same run, for language engines that look at its crops.
        journal: folder beside the output in which an engine may note what must survive a kill.
    """

    store: SkeletonStore | None = None
    source: Path | None = None
    pictures: FrameSource | None = None
    vision: VisionEngine | None = None
    journal: Path | None = None

    def clips(self, engine: str) -> SkeletonStore:
        """The skeleton store, which this engine cannot do without: an InputError where there is none."""
        if self.store is None:
            raise InputError(
                f"{engine} works on the clips of a skeleton store: name it, kinelex prompts STORE"
            )
        return self.store

    def frames(self, engine: str) -> FrameSource:
        """The recorded frames, which this engine cannot do without: an InputError where there are none."""
        if self.pictures is None:
            raise InputError(f"{engine} looks at the recorded frames: name them with --pictures and --source")
        return self.pictures
