"""Pictures ``depth`` and ``render``: frames for engines that look at pictures where there is no video."""

from typing import Any

import numpy as np

from kinelex.errors import InputError
from kinelex.prompts.base import EngineContext
from kinelex.prompts.engines.depth import UtdDepth, depth_light
from kinelex.prompts.engines.render import RenderVision


class DepthPictures:
    """Frame source: UTD-MHAD's depth maps as grey pictures, near bright, background black."""

    name = "depth"
    version = "1"

    def __init__(self, context: EngineContext) -> None:
        self.settings: dict[str, Any] = {}
        self._maps = UtdDepth(context)

    def frames(self, row: int, indices: np.ndarray) -> np.ndarray | None:
        """Frames of a clip, (P, 240, 320, 3) uint8; None where it has no depth file."""
        maps = self._maps.frames(row, indices)
        if maps is None:
            return None
        grey = np.stack([depth_light(depth) for depth in maps])
        return np.repeat(grey[..., None], 3, axis=3)


class RenderPictures:
    """Frame source: the skeleton drawn as a body, as vision engine ``render`` draws it.

    Args:
        view: side to draw from: front, back, left, side.
        image_size: side of the square pictures in pixels.
    """

    name = "render"
    version = RenderVision.version

    def __init__(self, context: EngineContext, *, view: str = "front", image_size: int = 336) -> None:
        if not view:
            raise InputError("pictures.view: expects a side to draw from: front, back, left or side")
        self.settings: dict[str, Any] = {"view": view, "image_size": image_size}
        self._drawn = RenderVision(context, views=(view,), image_size=image_size)

    def frames(self, row: int, indices: np.ndarray) -> np.ndarray:
        """Drawings of a clip, (P, image_size, image_size, 3) uint8."""
        return self._drawn.crops(row, indices).images[:, 0]
