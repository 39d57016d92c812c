"""Vision engine ``render``: the skeleton drawn as a body, from chosen sides of it, or in 2-D as filmed."""

from typing import Any

import numpy as np

from kinelex.errors import InputError, check_name
from kinelex.prompts.base import Crops, EngineContext
from kinelex.prompts.engines.cut import check_cut
from kinelex.prompts.engines.kinematic.body import (
    FORWARD,
    INDEX,
    RIGHT,
    UP,
    Body,
    find_bodies,
    landmark_matrix,
    y_points_down,
)
from kinelex.prompts.engines.kinematic.persons import seen_by

# Per view: which body axis points to the right of the picture (and its sign), which towards the viewer.
VIEWS = {
    "front": ((RIGHT, -1), (FORWARD, 1)),
    "back": ((RIGHT, 1), (FORWARD, -1)),
    "side": ((FORWARD, 1), (RIGHT, 1)),
    "left": ((FORWARD, -1), (RIGHT, -1)),
    "filmed": ((RIGHT, 1), (FORWARD, 1)),  # bodies in 2-D, whose axes are the picture's
}
_BACKGROUND, _FLOOR = (236, 236, 232), (205, 200, 190)
_TORSO, _HEAD = (90, 95, 105), (224, 178, 140)
_ARMS = {"left": (40, 90, 200), "right": (210, 50, 45)}
_LEGS = {"left": (30, 150, 150), "right": (225, 135, 30)}
_TALL, _WIDE = 5.2, 7.0  # side of the picture in torso lengths, for one person and for two
_FINE = 2  # drawn at twice the size, then reduced: smooth edges


def _limbs() -> list[tuple[int, int, float, float, tuple[int, int, int]]]:
    """Capsules of the body: landmarks, radii in torso lengths, colour."""
    out = [
        (INDEX["left_shoulder"], INDEX["right_shoulder"], 0.14, 0.14, _TORSO),
        (INDEX["shoulder_center"], INDEX["pelvis"], 0.26, 0.24, _TORSO),
        (INDEX["left_hip"], INDEX["right_hip"], 0.18, 0.18, _TORSO),
        (INDEX["shoulder_center"], INDEX["head"], 0.1, 0.1, _HEAD),
        (INDEX["head"], INDEX["head"], 0.25, 0.25, _HEAD),
    ]
    arm = (("shoulder", "elbow", 0.12), ("elbow", "hand", 0.1), ("hand", "hand", 0.14))
    leg = (("hip", "knee", 0.16), ("knee", "ankle", 0.13), ("ankle", "foot", 0.11))
    for side in ("left", "right"):
        for chain, colour in ((arm, _ARMS[side]), (leg, _LEGS[side])):
            out += [(INDEX[f"{side}_{a}"], INDEX[f"{side}_{b}"], r, r, colour) for a, b, r in chain]
    return out


_LIMBS = _limbs()


def draw(
    points: np.ndarray, floor: float, view: str, size: int, tracked: np.ndarray | None = None
) -> np.ndarray:
    """One picture (size, size, 3) of one or two bodies: thick limbs, the nearer ones over those behind.

    Args:
        points: (persons, 19, 3), landmarks in the first body's frame, in torso lengths.
        floor: height of the floor in that frame.
        view: a name of :data:`VIEWS`.
        tracked: (persons, 19) bool, which landmarks are there; limbs without an end are not drawn.
    """
    from PIL import Image, ImageDraw

    (across, sign), (near, facing) = VIEWS[view]
    big = size * _FINE
    scale = big / (_TALL if len(points) == 1 else _WIDE)
    x = big / 2 + sign * points[..., across] * scale
    ground = big - 0.3 * scale
    y = ground - (points[..., UP] - floor) * scale
    depth = facing * points[..., near]
    image = Image.new("RGB", (big, big), _BACKGROUND)
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, ground, big, big), fill=_FLOOR)
    there = np.ones(points.shape[:2], dtype=bool) if tracked is None else tracked
    parts = [
        (depth[p, a] + depth[p, b], p, k)
        for p in range(len(points))
        for k, (a, b, *_) in enumerate(_LIMBS)
        if there[p, a] and there[p, b]
    ]
    for far, p, k in sorted(parts):
        a, b, ra, rb, colour = _LIMBS[k]
        light = float(np.clip(1.0 + 0.12 * far, 0.7, 1.25))  # nearer is brighter
        fill = tuple(min(255, int(c * light)) for c in colour)
        ra, rb = ra * scale, rb * scale
        if a != b:
            pen.line((x[p, a], y[p, a], x[p, b], y[p, b]), fill=fill, width=int(ra + rb))
            pen.ellipse((x[p, b] - rb, y[p, b] - rb, x[p, b] + rb, y[p, b] + rb), fill=fill)
        pen.ellipse((x[p, a] - ra, y[p, a] - ra, x[p, a] + ra, y[p, a] + ra), fill=fill)
    return np.asarray(image.reduce(_FINE))


def draw_frames(bodies: list[Body], indices: np.ndarray, views: tuple[str, ...], size: int) -> np.ndarray:
    """Pictures (P, views, size, size, 3) of a clip's frames from several sides."""
    points = [bodies[0].local, *(seen_by(bodies[0], other) for other in bodies[1:])]
    stacked = np.stack(points, axis=1)  # (T, persons, 19, 3)
    tracked = np.stack([body.tracked for body in bodies], axis=1)
    floor = -bodies[0].level("pelvis")
    times = indices.tolist()
    return np.array([[draw(stacked[t], floor[t], v, size, tracked[t]) for v in views] for t in times])


class RenderVision:
    """The skeleton drawn as a body, in the body's own frame, from chosen sides; in 2-D as it was filmed.

    Args:
        views: sides to draw from: front, back, left, side; by default front and side, of a store in 2-D the
            one view that it has, filmed.
        image_size: side of the square pictures in pixels.
    """

    name = "render"
    version = "2"
    default_frames = 4

    def __init__(self, context: EngineContext, *, views: tuple[str, ...] = (), image_size: int = 160) -> None:
        self._store = context.clips("vision engine render")
        flat = self._store.channels == 2
        views = tuple(views) or (("filmed",) if flat else ("front", "side"))
        for view in views:
            check_name("view", view, VIEWS)
            if (view == "filmed") != flat:
                why = "2-D skeletons are seen as filmed alone, this store can have filmed"
                if not flat:
                    sides = ", ".join(view for view in VIEWS if view != "filmed")
                    why = f"filmed is the view of 2-D skeletons, this store can have {sides}"
                raise InputError(f"vision.views={view}: {why}")
        check_cut(image_size)
        self.settings: dict[str, Any] = {"views": list(views), "image_size": image_size}
        self.views = len(views)
        self._sides, self._size = views, image_size
        self._matrix = landmark_matrix(self._store.layout)
        self._y_down = flat and y_points_down(self._store, self._matrix)
        if flat:
            self.settings["y"] = "down" if self._y_down else "up"

    def crops(self, row: int, indices: np.ndarray) -> Crops:
        """Pictures of one clip of the store; the box is the whole picture."""
        bodies = find_bodies(self._store.sequence(row), self._matrix, self._y_down)
        images = draw_frames(bodies, indices, self._sides, self._size)
        boxes = np.tile(np.array([0, 0, self._size, self._size], np.float32), (len(indices), 1))
        return Crops(images, boxes, np.zeros(len(indices), bool))
