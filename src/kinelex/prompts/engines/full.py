"""Vision engine ``full``: whole frames."""

from dataclasses import replace
from typing import Any

import numpy as np

from kinelex.prompts.base import Crops, EngineContext
from kinelex.prompts.engines.cut import check_cut, cut


class FullVision:
    """Whole frames as pictures, for comparison with crops. None is flagged: nobody was looked for.

    Args:
        image_size: side of the square pictures in pixels; the frame keeps its shape in them.
    """

    name = "full"
    version = "1"
    views = 1
    default_frames = 16
    pictures = "video"

    def __init__(self, context: EngineContext, *, image_size: int = 336) -> None:
        check_cut(image_size)
        self.settings: dict[str, Any] = {"image_size": image_size}
        self._size = image_size
        self._frames = context.frames("vision engine full")

    def crops(self, row: int, indices: np.ndarray) -> Crops | None:
        """The frames of one clip; None where it has none."""
        frames = self._frames.frames(row, indices)
        if frames is None:
            return None
        crops = cut(frames, [None] * len(frames), 0, self._size)
        return replace(crops, flags=np.zeros(len(frames), bool))
