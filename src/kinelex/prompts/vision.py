"""Pictures of all clips, embedded, and kept where that was asked for."""

from collections.abc import Iterator

import numpy as np

from kinelex.data import ModalityPrompts, tile_pictures, write_jpeg
from kinelex.prompts.base import Crops, ImageEncoder, VisionEngine
from kinelex.prompts.shards import Parts
from kinelex.prompts.stages import Advance, Meter, Stage

_CLIPS = 32  # fixed, since an embedding may depend in its last bits on the batch it was computed in


class Vision:
    """The vision prompts of a run, in shards; the embeddings of a frame's views are put side by side.

    Engine and encoder are None where shards are only looked at.
    """

    modality = "vision"
    last = None

    def __init__(
        self, parts: Parts, engine: VisionEngine | None = None, encoder: ImageEncoder | None = None
    ) -> None:
        self.parts, self.engine, self.encoder = parts, engine, encoder
        settings = parts.meta.engines["vision"]
        self._frames, self._tile = settings["frames"], settings.get("tile_size", 0)
        self._width = parts.meta.widths["vision"]
        self.first = Stage("pictures", len(parts.clips), _CLIPS, ".npz", self._make)

    def _make(self, starts: list[int], advance: Advance) -> None:
        for start in starts:
            rows = range(start, min(start + _CLIPS, self.first.total))
            if not self.parts.has(self.first.file(start)):  # another process may have made it meanwhile
                shard, cost = self._shard(rows)
                self.parts.write_arrays(self.first.file(start), shard)
                self.parts.write_json(self.first.cost_file(start), cost)
            advance(len(rows))

    def _shard(self, rows: range) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        assert self.engine is not None
        meter = Meter(self.engine)
        crops = [self.engine.crops(r, self.parts.clips.frames(r, self._frames)) for r in rows]
        cost = meter.read(len(crops))
        present = [c for c in crops if c is not None]
        shard = {
            "present": np.array([c is not None for c in crops]),
            "embeddings": self._embed([c.images for c in present]),
            "boxes": np.array([c.boxes for c in present], np.float32).reshape(-1, self._frames, 4),
            "flags": np.array([c.flags for c in present], bool).reshape(-1, self._frames),
        }
        for what in self.parts.meta.kept:
            files = [self._files(what, c) for c in present]
            sizes = np.array([[len(f) for f in clip] for clip in files], np.int64)
            content = b"".join(f for clip in files for f in clip)
            shard |= {f"{what}_sizes": sizes, what: np.frombuffer(content, np.uint8)}
        return shard, cost

    def _embed(self, pictures: list[np.ndarray]) -> np.ndarray:
        """Embeddings of clips; those whose pictures have one size go through the encoder together."""
        assert self.encoder is not None
        out = np.zeros((len(pictures), self._frames, self._width), np.float16)
        for shape in dict.fromkeys(p.shape[2:] for p in pictures):
            clips = [k for k, p in enumerate(pictures) if p.shape[2:] == shape]
            images = np.concatenate([pictures[k].reshape(-1, *shape) for k in clips])
            made = self.encoder.encode(images).reshape(len(clips), self._frames, self._width)
            out[clips] = made.astype(np.float16)
        return out

    def _files(self, what: str, crops: Crops) -> list[bytes]:
        images = crops.images.reshape(-1, *crops.images.shape[2:])
        pictures = [tile_pictures(images, self._tile)] if what == "tile" else images
        return [write_jpeg(picture) for picture in pictures]

    def prompts(self) -> Iterator[ModalityPrompts | None]:
        """The prompts of all clips in row order, from the shards."""
        for start in self.first.starts():
            shard = self.parts.read_arrays(self.first.file(start))
            kept = {what: _split(shard, what) for what in self.parts.meta.kept}
            at = 0
            for row, present in enumerate(shard["present"].tolist(), start):
                if not present:
                    yield None
                    continue
                frames = self.parts.clips.frames(row, self._frames)
                embeddings, boxes, flags = (shard[name][at] for name in ("embeddings", "boxes", "flags"))
                crops = next(kept["crops"]) if "crops" in kept else None
                tile = next(kept["tile"])[0] if "tile" in kept else None
                yield ModalityPrompts(frames, embeddings, boxes=boxes, flags=flags, crops=crops, tile=tile)
                at += 1


def _split(shard: dict[str, np.ndarray], what: str) -> Iterator[list[bytes]]:
    """The files of clip after clip in a shard."""
    content, at = shard[what].tobytes(), 0
    for sizes in shard[f"{what}_sizes"]:
        ends = at + np.cumsum(sizes)
        yield [content[end - size : end] for end, size in zip(ends, sizes, strict=True)]
        at = int(ends[-1])
