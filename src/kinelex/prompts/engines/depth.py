"""Vision engine ``depth``: the foreground of UTD-MHAD depth maps, cropped."""

from pathlib import Path
from typing import Any

import numpy as np

from kinelex.errors import InputError
from kinelex.prompts.base import Crops, EngineContext
from kinelex.prompts.engines.cut import check_cut, cut_out


class UtdDepth:
    """Frame source: ``Depth/<clip>_depth.mat`` under a folder, variable ``d_depth``, (240, 320, T) mm."""

    def __init__(self, context: EngineContext) -> None:
        if context.source is None:
            raise InputError("depth maps are read from files: name their folder with --source DIR")
        self.folder = Path(context.source) / "Depth"
        if not self.folder.is_dir():
            raise InputError(f"{context.source} has no folder Depth; expects the folder of UTD-MHAD")
        if next(self.folder.glob("*_depth.mat"), None) is None:
            raise InputError(f"{self.folder} holds no *_depth.mat")
        self._store = context.clips("vision engine depth")

    def frames(self, row: int, indices: np.ndarray) -> np.ndarray | None:
        """Depth maps in millimetres, background 0, (P, 240, 320); None where the clip has no file."""
        from scipy.io import loadmat

        path = self.folder / f"{self._store.ids[row]}_depth.mat"
        if not path.is_file():
            return None
        try:
            depth = loadmat(path, variable_names=["d_depth"])["d_depth"]
        except Exception as error:  # scipy raises a dozen kinds for a damaged file
            form = "expects a variable d_depth, height x width x frames"
            raise InputError(f"{path} is no depth map ({form})") from error
        if depth.ndim != 3 or depth.shape[2] <= indices.max():
            length = self._store.lengths[row]
            raise InputError(
                f"{path}: expects {length} frames as the skeletons have, got shape {depth.shape}"
            )
        return np.moveaxis(depth[:, :, indices], 2, 0)


def foreground_box(depth: np.ndarray, padding: float = 0.08) -> np.ndarray | None:
    """Box round the foreground (not 0) of a map (H, W), padded by a share of its longer side; None if empty.

    >>> depth = np.zeros((20, 30)); depth[5:10, 8:18] = 900
    >>> foreground_box(depth, padding=0.1).tolist()
    [7, 4, 19, 11]
    """
    rows, columns = np.flatnonzero(depth.any(axis=1)), np.flatnonzero(depth.any(axis=0))
    if len(rows) == 0:
        return None
    pad = int(np.ceil(padding * max(np.ptp(rows) + 1, np.ptp(columns) + 1)))
    low = np.array([columns[0], rows[0]]) - pad
    high = np.array([columns[-1], rows[-1]]) + 1 + pad
    return np.concatenate([np.maximum(low, 0), np.minimum(high, [depth.shape[1], depth.shape[0]])])


def depth_light(depth: np.ndarray) -> np.ndarray:
    """A depth map (H, W) in millimetres, 0 is background, as light: near is bright, background black."""
    body = depth > 0
    light = np.zeros(depth.shape, np.float32)
    if body.any():
        near, far = np.percentile(depth[body], [1, 99])
        light[body] = 255 - 195 * np.clip((depth[body] - near) / max(far - near, 1.0), 0, 1)
    return light.astype(np.uint8)


def depth_picture(depth: np.ndarray, size: int) -> np.ndarray:
    """A depth map (H, W) as a square picture (size, size, 3): near is bright, its shape kept."""
    from PIL import Image

    side = max(depth.shape)
    square = np.zeros((side, side), np.uint8)
    top, left = (side - depth.shape[0]) // 2, (side - depth.shape[1]) // 2
    square[top : top + depth.shape[0], left : left + depth.shape[1]] = depth_light(depth)
    small = Image.fromarray(square).resize((size, size), Image.Resampling.BILINEAR)
    return np.repeat(np.asarray(small)[..., None], 3, axis=2)


class DepthVision:
    """The foreground of UTD-MHAD's depth maps, cropped.

    Args:
        image_size: side of the square pictures in pixels.
    """

    name = "depth"
    version = "1"
    views = 1
    default_frames = 4

    def __init__(self, context: EngineContext, *, image_size: int = 160) -> None:
        check_cut(image_size)
        self.settings: dict[str, Any] = {"image_size": image_size}
        self._size = image_size
        self._source = UtdDepth(context)

    def crops(self, row: int, indices: np.ndarray) -> Crops | None:
        """Crops of one clip of the store; None where it has no depth file."""
        frames = self._source.frames(row, indices)
        if frames is None:
            return None
        bodies = [foreground_box(f) for f in frames]
        return cut_out(frames, bodies, lambda depth: depth_picture(depth, self._size))
