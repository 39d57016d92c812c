"""Videos whose frames show their own number as eight black or white stripes, and stores that go with them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinelex.data import Sequence, SkeletonStore, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.skeleton import get_layout

STRIPE = 16  # pixels


def numbered(number: int, height: int = 96) -> np.ndarray:
    """A picture that shows a number from 0 to 255, (height, 128, 3)."""
    bits = [(number >> k) & 1 for k in range(8)]
    row = np.repeat(np.array(bits, np.uint8) * 200 + 20, STRIPE)
    return np.repeat(np.repeat(row[None, :, None], height, axis=0), 3, axis=2)


def read_number(picture: np.ndarray) -> int:
    """The number that a picture shows."""
    width = picture.shape[1] // 8
    middle = picture[picture.shape[0] // 2, width // 2 :: width, 0]
    return sum(int(light > 120) << k for k, light in enumerate(middle))


def write_video(path: Path, frames: int | list[np.ndarray], codec: str = "mpeg4", **options: Any) -> Path:
    """A video of numbered frames, or of the given pictures."""
    av = pytest.importorskip("av", reason="PyAV is not installed")
    pictures = [numbered(i) for i in range(frames)] if isinstance(frames, int) else frames
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        av.Codec(codec, "w")
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"this PyAV has no {codec}")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            codec, rate=Fraction(30), options={k: str(v) for k, v in options.items()}
        )
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def clip_store(path: Path, clips: dict[str, int], persons: int = 1, **beside: Any) -> SkeletonStore:
    """A store of clips with these numbers of frames; ``beside`` goes to every sequence, called with T."""
    layout = get_layout("ntu25")
    rng = np.random.default_rng(0)
    with SkeletonStoreWriter(path, StoreMeta("tiny", layout, ("a", "b"), source=str(path.parent))) as writer:
        for clip, length in clips.items():
            x = rng.normal(size=(length, persons, 25, 3)).astype(np.float32)
            more = {key: value(length) if callable(value) else value for key, value in beside.items()}
            writer.add(Sequence(clip, x, label=0, **more))
    return open_store(path)
