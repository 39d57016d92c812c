"""Vision engine ``grounding_dino``: the person found by what it is called, and cropped."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from kinelex.errors import InputError, check_name
from kinelex.prompts.base import Crops, EngineContext
from kinelex.prompts.embed.pixels import fitting, to_pixels
from kinelex.prompts.engines.cut import around, check_cut, cut
from kinelex.prompts.engines.joints import SEVERAL
from kinelex.prompts.from_checkpoint import FromCheckpoint

_FAMILY = ("grounding-dino", "mm-grounding-dino")
_SAME = 0.7  # boxes that overlap more than this share of their union show one person


@dataclass(kw_only=True, eq=False)
class GroundingDinoVision(FromCheckpoint):
    """Crops of what a Grounding DINO finds; a frame in which it finds nobody is taken whole and flagged.

    Args:
        model: folder or hub id of a Grounding DINO (or MM Grounding DINO) checkpoint.
        text: what to look for, in small letters with a full stop at the end.
        threshold: least score of a box, from 0 to 1.
        text_threshold: least score of a box for a word of the text, from 0 to 1.
        several: ``union`` crops the box round as many of the best boxes as the clip's skeletons have
            persons, ``best`` the best box alone.
        padding: margin round the box, a share of its longer side.
        image_size: side of the square pictures in pixels; the crop keeps its shape in them.

    Source: Liu et al., Grounding DINO, ECCV 2024; C2VL (arXiv 2405.20606) crops with it, text "person".
    """

    name = "grounding_dino"
    section: ClassVar[str] = "vision"
    views = 1
    default_frames = 16
    pictures = "video"
    context: EngineContext = field(kw_only=False)
    model: str = "IDEA-Research/grounding-dino-base"
    text: str = "person."
    threshold: float = 0.3
    text_threshold: float = 0.25
    several: str = "union"
    padding: float = 0.05
    image_size: int = 336
    batch_size: int = 8

    def __post_init__(self) -> None:
        check_cut(self.image_size, self.padding)
        check_name("several", self.several, SEVERAL)
        thresholds = {"threshold": self.threshold, "text_threshold": self.text_threshold}
        both = self.threshold, self.text_threshold
        if not all(0 <= value <= 1 for value in both):
            raise InputError(f"expects thresholds from 0 to 1, got {' and '.join(map(str, both))}")
        if self.batch_size < 1 or not self.text.strip(" ."):
            got = f"{self.text!r} and {self.batch_size}"
            raise InputError(f"expects a text and a batch size of at least 1, got {got}")
        self._frames = self.context.frames("vision engine grounding_dino")
        kind = self.checkpoint.processor("AutoConfig").model_type
        if kind not in _FAMILY:
            family = ", ".join(_FAMILY)
            raise InputError(f"vision.model: {self.model} is of the kind {kind}, expects one of {family}")
        self._processor = self.checkpoint.processor("AutoImageProcessor")
        self._network = self.load("AutoModelForZeroShotObjectDetection")
        self.text = f"{self.text.strip(' .').lower()}."
        own = {"several": self.several, "padding": self.padding, "image_size": self.image_size}
        self.settings = self.all_settings(self._network, text=self.text, **thresholds, **own)
        persons = self.context.clips("vision engine grounding_dino").persons
        self._most = np.ones_like(persons) if self.several == "best" else persons
        tokenizer = self.checkpoint.processor("AutoTokenizer")
        self._tokens = tokenizer([self.text], return_tensors="pt").to(self._network.device)
        stop = tokenizer.convert_tokens_to_ids(".")
        dull = {*tokenizer.all_special_ids, stop}
        self._words = np.array([token not in dull for token in self._tokens["input_ids"][0].tolist()])

    def crops(self, row: int, indices: np.ndarray) -> Crops | None:
        """Crops of one clip; None where it has no frames."""
        frames = self._frames.frames(row, indices)
        if frames is None:
            return None
        found = [distinct(boxes[:, :4])[: self._most[row]] for boxes in self.find(frames)]
        boxes = [around(several) if len(several) else None for several in found]
        return cut(frames, boxes, self.padding, self.image_size)

    def find(self, frames: np.ndarray) -> list[np.ndarray]:
        """All boxes over the thresholds in each frame, the best first.

        Shape:
            - frames: (P, H, W, 3) uint8
            - returns: P of (n, 5) float32: x0, y0, x1, y1 in pixels, score from 0 to 1
        """
        import torch

        boxes = []
        for start in range(0, len(frames), self.batch_size):
            batch = frames[start : start + self.batch_size]
            words = {key: value.expand(len(batch), -1) for key, value in self._tokens.items()}
            with fitting("vision", self.batch_size, self._network.device), torch.inference_mode():
                pixels = to_pixels(self._processor, batch, self._network.device, self._network.dtype)
                out = self._network(pixel_values=pixels, **words)
            scores = out.logits.float().sigmoid().cpu().numpy()  # (batch, queries, tokens)
            places = out.pred_boxes.float().cpu().numpy()  # (batch, queries, 4), centre and size from 0 to 1
            boxes += [self._over(s, p, frames.shape[1:3]) for s, p in zip(scores, places, strict=True)]
        return boxes

    def _over(self, scores: np.ndarray, places: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        score = scores.max(axis=1)
        word = scores[:, : len(self._words)][:, self._words].max(axis=1)
        best = np.flatnonzero((score > self.threshold) & (word > self.text_threshold))
        best = best[np.argsort(-score[best], kind="stable")]
        low, high = places[best, :2] - places[best, 2:] / 2, places[best, :2] + places[best, 2:] / 2
        scale = np.array([shape[1], shape[0]], np.float32)
        return np.concatenate([low * scale, high * scale, score[best, None]], axis=1)


def distinct(boxes: np.ndarray) -> np.ndarray:
    """Boxes (n, 4), best first, without those that lie on a better one.

    >>> distinct(np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10]])).tolist()
    [[0, 0, 10, 10], [20, 0, 30, 10]]
    """
    kept: list[np.ndarray] = []
    for box in boxes:
        if all(_overlap(box, other) <= _SAME for other in kept):
            kept.append(box)
    return np.array(kept).reshape(-1, 4)


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    areas = float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]))
    return shared / (areas - shared) if areas > shared else 0.0
