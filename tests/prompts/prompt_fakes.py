"""Encoders and engines small enough for a test, some of which die when they are told to."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

import numpy as np

from kinelex.prompts import ClipTexts, Crops, EngineContext


class Killed(BaseException):
    """Stands for a kill: nothing in the product catches it."""


class FakeText:
    """Embeds a text as numbers drawn from its hash; counts, and dies after some calls if told to."""

    name, version, width = "fake_text", "1", 8
    seen: ClassVar[list[str]] = []
    calls_left: ClassVar[int] = -1

    def encode(self, texts: list[str]) -> np.ndarray:
        if FakeText.calls_left == 0:
            raise Killed
        FakeText.calls_left -= 1
        FakeText.seen += texts
        seeds = [int(hashlib.sha256(t.encode()).hexdigest()[:8], 16) for t in texts]
        noise = 1e-3 * len(texts)  # as in a real model the batch matters a little
        return np.stack([np.random.default_rng(s).normal(size=8) + noise for s in seeds]).astype(np.float32)


class FakeImage:
    """Embeds an image as means of its quarters; dies after some calls if told to."""

    name, version, width = "fake_image", "1", 4
    calls_left: ClassVar[int] = -1
    images: ClassVar[int] = 0

    def encode(self, images: np.ndarray) -> np.ndarray:
        if FakeImage.calls_left == 0:
            raise Killed
        FakeImage.calls_left -= 1
        FakeImage.images += len(images)
        quarters = np.array_split(images.reshape(len(images), -1).astype(np.float32), 4, axis=1)
        return np.stack([q.mean(axis=1) for q in quarters], axis=1) + 1e-3 * len(images)


class HalfVision:
    """A vision engine that lacks every other clip and finds nobody in its first frame."""

    name, version, views, default_frames = "half", "1", 1, 2

    def __init__(self, context: EngineContext) -> None:
        self.settings: dict[str, Any] = {}
        self.none = bool(context.source)

    def crops(self, row: int, indices: np.ndarray) -> Crops | None:
        if row % 2 or self.none:
            return None
        images = np.full((len(indices), 1, 4, 4, 3), row, np.uint8)
        return Crops(images, np.zeros((len(indices), 4), np.float32), np.arange(len(indices)) == 0)


class ShyLanguage:
    """A language engine without a text about the whole clip that says nothing about the first one."""

    name, version = "shy", "1"

    def __init__(self, context: EngineContext) -> None:
        self.settings: dict[str, Any] = {"question": "What is he doing?"}

    def texts(self, row: int, indices: np.ndarray) -> ClipTexts | None:
        return None if row == 0 else ClipTexts([f"He sits in frame {i}." for i in indices])
