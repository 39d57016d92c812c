"""Pictures and texts of clips side by side."""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from kinelex.data import WHOLE_CLIP, ModalityPrompts, PromptStore
from kinelex.reports.page.view import skeleton_frames
from kinelex.reports.prompts.clips import Clips

_CELLS = 4  # moments shown of a clip
_SIDE, _TILE_SIDE, _QUALITY = 128, 320, 60
_MOST_LETTERS = 2500
_MOST_CELLS = 260  # on a page: with 12 kB each, below 4 MB


@dataclass(frozen=True)
class Cell:
    """One moment of a clip: an ``<img>`` or ``<svg>``, what is said about its frame or the one nearest to it.

    It is ``flagged`` where no person was found in the picture.
    """

    picture: str = ""
    frame: int | None = None
    text: str = ""
    flagged: bool = False


@dataclass(frozen=True)
class Shown:
    """A clip with its prompts of one store: a text about it, its moments, an ``<img>`` of all pictures."""

    name: str
    whole: str = ""
    cells: list[Cell] = field(default_factory=list)
    tile: str = ""


def choose_clips(clips: Clips, present: np.ndarray, stores: int, seed: int = 0) -> np.ndarray:
    """One clip per class, drawn by seed from those with prompts; of some classes where there are many."""
    rng = np.random.default_rng(seed)
    room = max(_MOST_CELLS // (_CELLS * stores), 1)
    if not len(clips.classes):
        rows = np.flatnonzero(present)
        return np.sort(rng.choice(rows, min(len(rows), 12), replace=False))
    by_class = [np.flatnonzero(present & (clips.labels == label)) for label in clips.classes]
    chosen = [int(rng.choice(rows)) for rows in by_class if len(rows)]
    spread = np.unique(np.linspace(0, len(chosen) - 1, min(room, len(chosen))).round().astype(int))
    return np.array(chosen, np.int64)[spread]


def show(name: str, prompts: PromptStore, clips: Clips, row: int) -> Shown:
    """Pictures and texts of one clip: the pictures that the store keeps, else the skeleton in its frames."""
    if clips.ids[row] not in prompts.ids:
        return Shown(name)
    clip = prompts.clip(clips.ids[row])
    language, vision = clip.language, clip.vision
    whole = "" if language is None else " ".join(_texts_at(language, [WHOLE_CLIP]))
    place = prompts.ids.index(clips.ids[row])
    crops = prompts.crops(place) if "crops" in prompts.meta.kept else None
    if crops is not None and vision is not None:
        return Shown(name, whole, _cells_of_crops(crops, vision, language))
    tile = prompts.tile(place) if "tile" in prompts.meta.kept else None
    if language is None and vision is None:
        return Shown(name)
    moments = (vision if language is None else language) or vision
    assert moments is not None
    frames = _spread(sorted({int(f) for f in moments.frames if f != WHOLE_CLIP}))
    texts = [""] * len(frames) if language is None else _texts_at(language, frames)
    if tile is not None:
        cells = [Cell("", f, t) for f, t in zip(frames, texts, strict=True)]
        return Shown(name, whole, cells, _image(_opened(tile), _TILE_SIDE))
    drawn = [""] * len(frames)
    if clips.store is not None and frames:
        drawn = skeleton_frames(clips.store.sequence(row), clips.store.layout, frames)
    cells = [Cell(*parts) for parts in zip(drawn, frames, texts, strict=True)]
    return Shown(name, whole, cells)


def kept_pictures(prompts: PromptStore, clip_id: str) -> list[str]:
    """What a prompt store keeps of a clip's pictures, a few moments or all in one, as ``<img>`` elements."""
    place = prompts.ids.index(clip_id)
    crops = prompts.crops(place) if "crops" in prompts.meta.kept else None
    if crops is not None:
        return [
            _image(np.concatenate(list(crops[k]), axis=1), _SIDE) for k in _spread(list(range(len(crops))))
        ]
    tile = prompts.tile(place) if "tile" in prompts.meta.kept else None
    return [] if tile is None else [_image(_opened(tile), _TILE_SIDE)]


def _cells_of_crops(
    crops: np.ndarray, vision: ModalityPrompts, language: ModalityPrompts | None
) -> list[Cell]:
    """Kept pictures, the views of a frame side by side, each with the text of the frame nearest to it."""
    cells = []
    for k in _spread(list(range(len(crops)))):
        frame = int(vision.frames[k])
        text = ""
        if language is not None and (language.frames != WHOLE_CLIP).any():
            own = language.frames[language.frames != WHOLE_CLIP]
            text = _texts_at(language, [int(own[np.abs(own - frame).argmin()])])[0]
        flagged = vision.flags is not None and bool(vision.flags[k])
        picture = _image(np.concatenate(list(crops[k]), axis=1), _SIDE)
        cells.append(Cell(picture, frame, text, flagged))
    return cells


def _spread(items: list[int]) -> list[int]:
    """Up to four of them, evenly, the ends included."""
    places = np.linspace(0, max(len(items) - 1, 0), _CELLS).round().astype(int)
    return [items[i] for i in np.unique(places)] if items else []


def _texts_at(language: ModalityPrompts, frames: Iterable[int]) -> list[str]:
    places = {int(frame): i for i, frame in enumerate(language.frames)}
    return [cut((language.texts or [])[places[f]]) for f in frames if f in places]


def cut(text: str, most: int = _MOST_LETTERS) -> str:
    """A text, or its beginning if it is endless.

    >>> cut("He sits down.", 7)
    'He sits …'
    """
    return text if len(text) <= most else f"{text[:most].rstrip()} …"


def _opened(content: bytes) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def _image(picture: np.ndarray, height: int) -> str:
    """A picture (H, W, 3) as an ``<img>`` element, not higher than ``height`` pixels."""
    from PIL import Image

    small = Image.fromarray(picture)
    small.thumbnail((4 * height, height))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=_QUALITY)
    content = base64.b64encode(file.getvalue()).decode()
    size = f'width="{small.width}" height="{small.height}"'
    return f'<img src="data:image/jpeg;base64,{content}" {size} alt="">'
