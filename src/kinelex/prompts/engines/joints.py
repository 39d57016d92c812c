"""Vision engine ``joints``: the person cropped where the skeleton's joints lie in the picture."""

from typing import Any

import numpy as np

from kinelex.data import SkeletonStore
from kinelex.errors import InputError, check_name
from kinelex.prompts.base import Crops, EngineContext
from kinelex.prompts.engines.cut import check_cut, cut

SEVERAL = ("best", "union")


class JointsVision:
    """Crops from the joints' pixels: no detector is needed where the raw files tell them, as NTU RGB+D's do.

    Pixels are scaled where a video has another size than the pictures that they refer to.

    Args:
        several: with several persons, ``union`` crops the box round all, ``best`` the first person's.
        padding: margin round the joints, a share of the box's longer side; hands, hair and what is held lie
            outside the joints.
        image_size: side of the square pictures in pixels; the crop keeps its shape in them.
    """

    name = "joints"
    version = "1"
    views = 1
    default_frames = 16
    pictures = "video"

    def __init__(
        self, context: EngineContext, *, several: str = "union", padding: float = 0.15, image_size: int = 336
    ) -> None:
        check_cut(image_size, padding)
        check_name("several", several, SEVERAL)
        self.settings: dict[str, Any] = {"several": several, "padding": padding, "image_size": image_size}
        self._several, self._padding, self._size = several, padding, image_size
        self._store = context.clips("vision engine joints")
        self._frames = context.frames("vision engine joints")
        if all(joint_pixels(self._store, row) is None for row in range(len(self._store))):
            raise InputError(
                f"{self._store.path} does not say where joints lie in the pictures (NTU RGB+D's files do, "
                "and two-dimensional skeletons): take another vision engine, for example grounding_dino"
            )

    def crops(self, row: int, indices: np.ndarray) -> Crops | None:
        """Crops of one clip; None where it has no frames, or no pixels of joints."""
        pixels = joint_pixels(self._store, row)
        frames = None if pixels is None else self._frames.frames(row, indices)
        if frames is None or pixels is None:
            return None
        size = self._store.image_size(row)
        scale = (1.0, 1.0) if size is None else (frames.shape[2] / size[1], frames.shape[1] / size[0])
        boxes = [self._box(pixels[t] * scale) for t in indices.tolist()]
        return cut(frames, boxes, self._padding, self._size)

    def _box(self, persons: np.ndarray) -> np.ndarray | None:
        """Box round the joints (M, V, 2) that were tracked; None where none was."""
        there = np.isfinite(persons).all(axis=2) & persons.any(axis=2)
        seen = there.any(axis=1)
        if not seen.any():
            return None
        if self._several == "best":
            there &= (np.arange(len(persons)) == np.argmax(seen))[:, None]
        points = persons[there]
        return np.concatenate([points.min(axis=0), points.max(axis=0) + 1])


def joint_pixels(store: SkeletonStore, row: int) -> np.ndarray | None:
    """Pixels (T, M, V, 2) of the joints of a clip in its pictures; None where the store does not say."""
    if store.channels == 2 and store.image_size(row) is not None:
        return store.sequence(row)
    return store.image_coordinates(row)
