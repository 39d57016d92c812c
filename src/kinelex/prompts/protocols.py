"""The seam: what an engine or an encoder must offer, and the registry by name.

A new engine is a class with the methods of one of these protocols, made known with :func:`register`; nothing
else in the package changes. Engines get the skeleton store and the folder of raw files when they are made,
then work clip by clip, by row of the store.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from kinelex.errors import unknown_name
from kinelex.store import SkeletonStore


@dataclass(frozen=True)
class ClipTexts:
    """The texts of one clip.

    Args:
        frames: one text per sampled frame.
        clip: a text about the whole clip, or None where the engine writes none.
    """

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
    """Pictures of a sequence as it was recorded."""

    def frames(self, row: int, indices: np.ndarray) -> np.ndarray | None:
        """The frames of a clip at the given indices, (P, H, W) or (P, H, W, 3); None where it has none."""


@runtime_checkable
class VisionEngine(Protocol):
    """Cuts or draws the person of a clip.

    Args:
        settings: all that changes its pictures.
        views: pictures per frame, K.
        default_frames: frames per clip unless the user asks for another number.
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
    """Describes a clip. ``settings`` holds all that changes its texts, a question among them."""

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


@dataclass
class EngineContext:
    """What an engine is made from.

    Args:
        store: the skeleton store whose clips it describes.
        source: folder of the raw files, for engines that read pictures.
        options: further settings, by keyword.
    """

    store: SkeletonStore
    source: Path | None = None
    options: dict[str, Any] = field(default_factory=dict)


Factory = Callable[..., Any]
LANGUAGE, VISION = "language engine", "vision engine"
TEXT_ENCODER, IMAGE_ENCODER = "text encoder", "image encoder"

# Built-ins are named by module, so that nothing heavy is imported before it is asked for.
_KNOWN: dict[str, dict[str, str | Factory]] = {
    LANGUAGE: {"kinematic": "kinelex.prompts.kinematic:KinematicLanguage"},
    VISION: {"render": "kinelex.prompts.render:RenderVision", "depth": "kinelex.prompts.depth:DepthVision"},
    TEXT_ENCODER: {"minilm": "kinelex.prompts.minilm:MiniLM"},
    IMAGE_ENCODER: {"efficientnet_lite0": "kinelex.prompts.efficientnet:EfficientNetLite0"},
}


def register(kind: str, name: str, factory: Factory) -> None:
    """Make an engine or encoder known by name.

    Args:
        kind: ``language engine``, ``vision engine``, ``text encoder`` or ``image encoder``.
        name: the name that the command line and :func:`create` take.
        factory: for engines called with an :class:`EngineContext`, for encoders with keyword options.

    Raises:
        InputError: an unknown kind.
    """
    _of_kind(kind)[name] = factory


def names(kind: str) -> tuple[str, ...]:
    """Names known for a kind.

    Raises:
        InputError: an unknown kind.

    >>> names("vision engine")
    ('depth', 'render')
    """
    return tuple(sorted(_of_kind(kind)))


def create(kind: str, name: str, *args: Any, **options: Any) -> Any:
    """Make an engine or encoder by name.

    Raises:
        InputError: an unknown kind or name; or what the engine itself objects to.
    """
    known = _of_kind(kind)
    if name not in known:
        raise unknown_name(kind, name, known)
    factory = known[name]
    if isinstance(factory, str):
        module, _, attribute = factory.partition(":")
        factory = getattr(import_module(module), attribute)
    return factory(*args, **options)


def _of_kind(kind: str) -> dict[str, str | Factory]:
    if kind not in _KNOWN:
        raise unknown_name("kind of prompt part", kind, _KNOWN)
    return _KNOWN[kind]
