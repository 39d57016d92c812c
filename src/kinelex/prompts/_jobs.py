"""Private machinery of prompt making: the shards of one modality, and how they become prompts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from kinelex.prompts._parts import Parts
from kinelex.prompts.protocols import ImageEncoder, LanguageEngine, TextEncoder, VisionEngine
from kinelex.store import WHOLE_CLIP, ModalityPrompts, SkeletonStore

# Fixed, since an embedding depends in its last bits on the batch it was computed in.
_CLIPS, _SENTENCES = 32, 512
Advance = Callable[[str, int, int], None]  # what is done, how many of them, out of how many


def sample_frames(length: int, count: int) -> np.ndarray:
    """Frames spread uniformly over a clip, the middle of each of ``count`` equal parts, (count,).

    >>> sample_frames(100, 4).tolist(), sample_frames(1, 3).tolist()
    ([12, 37, 62, 87], [0, 0, 0])
    """
    return ((np.arange(count) + 0.5) * length / count).astype(np.int64)


def split_sentences(text: str) -> list[str]:
    """The sentences of a text.

    >>> split_sentences("He sits. Does he smile?  Yes")
    ['He sits.', 'Does he smile?', 'Yes']
    """
    return [s for s in re.split(r"(?<=[.!?])\s+", text.strip()) if s]


def describe(part: Any) -> dict[str, Any]:
    """Name, version and settings of an engine or encoder, for the metadata."""
    return {"name": part.name, "version": part.version, **getattr(part, "settings", {})}


class LanguageJob:
    """Texts of all clips, each different sentence embedded once.

    Args:
        store: the clips.
        engine: writes the texts.
        encoder: embeds them.
        frames: texts per clip.
        pool: ``sentences`` or ``text``, what is embedded at a time.
    """

    modality = "language"

    def __init__(
        self, store: SkeletonStore, engine: LanguageEngine, encoder: TextEncoder, frames: int, pool: str
    ) -> None:
        self.store, self.engine, self.encoder, self.frames = store, engine, encoder, frames
        self._whole = pool == "text"
        self.settings = {
            "engine": describe(engine),
            "encoder": describe(encoder),
            "frames": frames,
            "pool": pool,
        }
        self.width = encoder.width
        self._row: dict[str, int] = {}
        self._vectors = np.zeros((0, encoder.width), np.float32)

    def make(self, parts: Parts, advance: Advance) -> None:
        """Make the shards that are not there yet: texts, then embeddings of the different sentences."""
        found: set[str] = set()
        total = len(self.store)
        for start in range(0, total, _CLIPS):
            texts = parts.json(f"texts-{start:08d}", partial(self._texts, start))
            found.update(u for clip in texts if clip for text in clip for u in self._units(text))
            advance("texts", min(start + _CLIPS, total), total)
        ordered = sorted(found, key=lambda u: (len(u), u))  # like lengths together; the same in every run
        self._row = {unit: r for r, unit in enumerate(ordered)}
        vectors = [self._vectors]
        for start in range(0, len(ordered), _SENTENCES):
            batch = ordered[start : start + _SENTENCES]
            made = parts.arrays(f"sentences-{start:08d}", partial(self._encode, batch))
            vectors.append(made["vectors"])
            advance("sentences", start + len(batch), len(ordered))
        self._vectors = np.concatenate(vectors)

    def _texts(self, start: int) -> list[list[str] | None]:
        rows = range(start, min(start + _CLIPS, len(self.store)))
        made = [self.engine.texts(r, sample_frames(self.store.lengths[r], self.frames)) for r in rows]
        return [None if m is None else [*m.frames, *([] if m.clip is None else [m.clip])] for m in made]

    def _encode(self, batch: list[str]) -> dict[str, np.ndarray]:
        return {"vectors": self.encoder.encode(batch)}

    def prompts(self, parts: Parts) -> Iterator[ModalityPrompts | None]:
        """The prompts of all clips in row order, from the shards."""
        for start in range(0, len(self.store), _CLIPS):
            texts = parts.json(f"texts-{start:08d}", partial(self._texts, start))
            for row, clip in enumerate(texts, start):
                if clip is None:
                    yield None
                    continue
                frames = sample_frames(self.store.lengths[row], self.frames)
                frames = np.append(frames, [WHOLE_CLIP] * (len(clip) - self.frames))
                yield ModalityPrompts(frames, np.stack([self._embed(text) for text in clip]), texts=clip)

    def _units(self, text: str) -> list[str]:
        return [text] if self._whole else split_sentences(text) or [text]

    def _embed(self, text: str) -> np.ndarray:
        vector = self._vectors[[self._row[u] for u in self._units(text)]].sum(axis=0)
        return vector / max(float(np.linalg.norm(vector)), 1e-12)


class VisionJob:
    """Pictures of all clips, embedded; the embeddings of a frame's views are put side by side.

    Args:
        store: the clips.
        engine: cuts or draws the pictures.
        encoder: embeds them.
        frames: pictures per clip (and view).
    """

    modality = "vision"

    def __init__(
        self, store: SkeletonStore, engine: VisionEngine, encoder: ImageEncoder, frames: int
    ) -> None:
        self.store, self.engine, self.encoder, self.frames = store, engine, encoder, frames
        self.settings = {"engine": describe(engine), "encoder": describe(encoder), "frames": frames}
        self.width = encoder.width * engine.views

    def make(self, parts: Parts, advance: Advance) -> None:
        """Make the shards that are not there yet."""
        total = len(self.store)
        for start in range(0, total, _CLIPS):
            parts.arrays(f"vision-{start:08d}", partial(self._shard, start))
            advance("pictures", min(start + _CLIPS, total), total)

    def _shard(self, start: int) -> dict[str, np.ndarray]:
        rows = range(start, min(start + _CLIPS, len(self.store)))
        crops = [self.engine.crops(r, sample_frames(self.store.lengths[r], self.frames)) for r in rows]
        found = [c for c in crops if c is not None]
        embeddings = np.zeros((0, self.frames, self.width), np.float16)
        if found:
            images = np.concatenate([c.images.reshape(-1, *c.images.shape[2:]) for c in found])
            embeddings = self.encoder.encode(images).reshape(-1, self.frames, self.width).astype(np.float16)
        return {
            "present": np.array([c is not None for c in crops]),
            "embeddings": embeddings,
            "boxes": np.array([c.boxes for c in found], np.float32).reshape(-1, self.frames, 4),
            "flags": np.array([c.flags for c in found], bool).reshape(-1, self.frames),
        }

    def prompts(self, parts: Parts) -> Iterator[ModalityPrompts | None]:
        """The prompts of all clips in row order, from the shards."""
        for start in range(0, len(self.store), _CLIPS):
            shard = parts.arrays(f"vision-{start:08d}", partial(self._shard, start))
            at = 0
            for row, present in enumerate(shard["present"].tolist(), start):
                if not present:
                    yield None
                    continue
                yield ModalityPrompts(
                    sample_frames(self.store.lengths[row], self.frames),
                    shard["embeddings"][at],
                    boxes=shard["boxes"][at],
                    flags=shard["flags"][at],
                )
                at += 1
