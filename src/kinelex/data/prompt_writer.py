"""Private machinery of the prompt store: what a row holds, and the writer."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from kinelex.data.arrow import StoreKind, StoreWriter
from kinelex.errors import InputError

FORMAT_VERSION = 2
PROMPTS = StoreKind(
    name="prompt store",
    made_by="kinelex prompts",
    versions=(1, FORMAT_VERSION),  # version 1 had no checksums
    checked_from=2,
    about=("dataset", "store_fingerprint", "widths", "kept"),
    checksums={
        "checksum": ("language_embeddings", "texts", "vision_embeddings", "boxes", "flags"),
        "picture_checksum": ("crops", "tile"),
    },
)
MODALITIES = ("language", "vision")
KEPT = ("crops", "tile")  # what may be kept of the pictures
WHOLE_CLIP = -1  # frame index of a prompt that describes the whole clip
_ROWS_PER_BATCH = 256
_KEPT_TYPES = {"crops": pa.list_(pa.binary()), "tile": pa.binary()}


@dataclass(frozen=True)
class PromptMeta:
    """What a prompt store says about itself.

    Args:
        dataset: name of the data set.
        store_fingerprint: :attr:`SkeletonStore.fingerprint` of the store the prompts were made for; None
            for prompts made without one, whose clips are found by their ids alone.
        engines: per modality the engine's and the encoder's name, version and settings.
        widths: per modality the width D of one embedding.
        kept: what is kept of the pictures themselves: ``crops``, ``tile`` or both.
        cost: per modality what its engine counted over all clips: ``seconds``, ``clips``, and for models
            that write also ``tokens`` (written) and ``prompt_tokens`` (read); empty where none was counted.
    """

    dataset: str
    store_fingerprint: str | None
    engines: dict[str, dict[str, Any]]
    widths: dict[str, int]
    kept: tuple[str, ...] = ()
    cost: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def uses_labels(self) -> bool:
        """Whether an engine read the labels of the clips."""
        engines = [about.get("engine") for about in self.engines.values() if isinstance(about, dict)]
        return any(isinstance(engine, dict) and engine.get("uses_labels", False) for engine in engines)


def cost_file(path: Path) -> Path:
    """Where the cost of a prompt store is kept: beside it, since two runs differ in it, not in the store."""
    return path.with_name(path.name + ".cost.json")


@dataclass
class ModalityPrompts:
    """The prompts of one clip in one modality.

    Args:
        frames: frame indices; :data:`WHOLE_CLIP` marks a prompt about the whole clip.
        embeddings: one of each prompt.
        texts: P texts (language).
        boxes: crops as x0, y0, x1, y1 in pixels (vision).
        flags: True where the engine found no person and took the whole frame (vision).
        crops: the pictures as P x K JPEG files, K views of each frame, where the store keeps them (vision).
        tile: one JPEG file that tiles the pictures, where the store keeps it (vision).

    Shape:
        - frames, flags: (P,); embeddings: (P, D); boxes: (P, 4)
    """

    frames: np.ndarray
    embeddings: np.ndarray
    texts: list[str] | None = None
    boxes: np.ndarray | None = None
    flags: np.ndarray | None = None
    crops: list[bytes] | None = None
    tile: bytes | None = None


@dataclass
class ClipPrompts:
    """The prompts of one clip; a modality the clip lacks is None."""

    id: str
    language: ModalityPrompts | None = None
    vision: ModalityPrompts | None = None


@dataclass
class PromptBank:
    """All embeddings of one modality as arrays, for the loader.

    Shape:
        - frame: (rows, P, D) float16, the prompts of single frames (P may be 0).
        - clip: (rows, D) float16 or None, the prompt of the whole clip.
        - present: (rows,) bool, False where a clip has no prompt in this modality (its rows are 0).
    """

    frame: np.ndarray
    clip: np.ndarray | None
    present: np.ndarray


def prompt_fields(widths: Collection[str], kept: Iterable[str]) -> list[pa.Field]:
    """The columns of a store with prompts in some modalities, and with some of their pictures kept."""
    fields = [pa.field("id", pa.utf8())]
    for m in widths:
        fields.append(pa.field(f"{m}_frames", pa.list_(pa.int32())))
        fields.append(pa.field(f"{m}_embeddings", pa.list_(pa.float16())))
    if "language" in widths:
        fields.append(pa.field("texts", pa.list_(pa.utf8())))
    if "vision" in widths:
        fields += [pa.field("boxes", pa.list_(pa.float32())), pa.field("flags", pa.list_(pa.bool_()))]
    return fields + [pa.field(what, _KEPT_TYPES[what]) for what in kept]


class PromptStoreWriter(StoreWriter):
    """Writes a prompt store atomically. Every clip has the same number of prompts per modality.

    Raises:
        InputError: in :meth:`add`, an id twice, or embeddings of another width than the meta says; no clip.
    """

    def __init__(self, path: str | Path, meta: PromptMeta) -> None:
        self.meta = meta
        header = {**asdict(meta), "kind": PROMPTS.name, "format_version": FORMAT_VERSION}
        super().__init__(path, PROMPTS, prompt_fields(meta.widths, meta.kept), header)

    def add(self, prompts: ClipPrompts) -> None:
        """Put one clip's prompts into the store."""
        for modality, width in self.meta.widths.items():
            mine = getattr(prompts, modality)
            if mine is not None and len(mine.frames) == 0:
                raise InputError(f"{prompts.id}: {modality} prompts of no frame; None where a clip has none")
            if mine is not None and mine.embeddings.shape != (len(mine.frames), width):
                raise InputError(
                    f"{prompts.id}: expects {modality} embeddings ({len(mine.frames)}, {width}), "
                    f"got {mine.embeddings.shape}"
                )
        self._put(prompts)
        if len(self._pending) == _ROWS_PER_BATCH:
            self._flush()

    def _columns(self, rows: list[ClipPrompts]) -> dict[str, pa.Array]:
        columns: dict[str, pa.Array] = {"id": pa.array([r.id for r in rows], pa.utf8())}

        def column(m: str, what: str) -> list[Any]:
            return [None if (prompts := getattr(row, m)) is None else getattr(prompts, what) for row in rows]

        for m in self.meta.widths:
            columns[f"{m}_frames"] = _lists(column(m, "frames"), pa.int32())
            halves = [None if x is None else x.astype(np.float16) for x in column(m, "embeddings")]
            columns[f"{m}_embeddings"] = _lists(halves, pa.float16())
            if m == "language":
                columns["texts"] = pa.array(column(m, "texts"), pa.list_(pa.utf8()))
                continue
            columns["boxes"] = _lists(column(m, "boxes"), pa.float32())
            columns["flags"] = _lists(column(m, "flags"), pa.bool_())
            for what in self.meta.kept:
                columns[what] = pa.array(column(m, what), _KEPT_TYPES[what])
        return columns


def _lists(arrays: list[np.ndarray | None], kind: pa.DataType) -> pa.Array:
    flat = [None if a is None else np.asarray(a).ravel() for a in arrays]
    return pa.array(flat, pa.list_(kind))
