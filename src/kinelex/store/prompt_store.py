"""The prompt store: texts, boxes and embeddings of every clip's knowledge prompts."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from kinelex.errors import InputError
from kinelex.store._arrow import AtomicArrowWriter, open_arrow, schema_with_header

KIND = "prompt store"
MADE_BY = "kinelex prompts"
FORMAT_VERSION = 1
MODALITIES = ("language", "vision")
WHOLE_CLIP = -1  # frame index of a prompt that describes the whole clip
_ROWS_PER_BATCH = 256


@dataclass(frozen=True)
class PromptMeta:
    """What a prompt store says about itself.

    Args:
        dataset: name of the data set.
        store_fingerprint: :attr:`SkeletonStore.fingerprint` of the store the prompts were made for.
        engines: per modality the engine's and the encoder's name, version and settings.
        widths: per modality the width D of one embedding.
    """

    dataset: str
    store_fingerprint: str
    engines: dict[str, dict[str, Any]]
    widths: dict[str, int]


@dataclass
class ModalityPrompts:
    """The prompts of one clip in one modality.

    Args:
        frames: (P,) frame indices; :data:`WHOLE_CLIP` marks a prompt about the whole clip.
        embeddings: (P, D).
        texts: P texts (language).
        boxes: (P, 4) crops as x0, y0, x1, y1 in pixels (vision).
        flags: (P,) True where the engine found no person and took the whole frame (vision).
    """

    frames: np.ndarray
    embeddings: np.ndarray
    texts: list[str] | None = None
    boxes: np.ndarray | None = None
    flags: np.ndarray | None = None


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


class PromptStoreWriter:
    """Writes a prompt store atomically. Every clip has the same number of prompts per modality.

    Raises:
        InputError: in :meth:`add`, an id twice, or embeddings of another width than the meta says.
    """

    def __init__(self, path: str | Path, meta: PromptMeta) -> None:
        self.meta = meta
        header = {**asdict(meta), "kind": KIND, "format_version": FORMAT_VERSION}
        fields = [pa.field("id", pa.utf8())]
        for m in meta.widths:
            fields += [
                pa.field(f"{m}_frames", pa.list_(pa.int32())),
                pa.field(f"{m}_embeddings", pa.list_(pa.float16())),
            ]
        if "language" in meta.widths:
            fields.append(pa.field("texts", pa.list_(pa.utf8())))
        if "vision" in meta.widths:
            fields += [pa.field("boxes", pa.list_(pa.float32())), pa.field("flags", pa.list_(pa.bool_()))]
        self._file = AtomicArrowWriter(path, schema_with_header(fields, header))
        self._pending: list[ClipPrompts] = []
        self._ids: set[str] = set()

    def add(self, prompts: ClipPrompts) -> None:
        """Put one clip's prompts into the store."""
        if prompts.id in self._ids:
            raise InputError(f"two clips have the id {prompts.id}")
        for modality, width in self.meta.widths.items():
            mine = getattr(prompts, modality)
            if mine is not None and mine.embeddings.shape != (len(mine.frames), width):
                raise InputError(
                    f"{prompts.id}: expects {modality} embeddings ({len(mine.frames)}, {width}), "
                    f"got {mine.embeddings.shape}"
                )
        self._ids.add(prompts.id)
        self._pending.append(prompts)
        if len(self._pending) == _ROWS_PER_BATCH:
            self._flush()

    def _flush(self) -> None:
        if not self._pending:
            return
        rows, self._pending = self._pending, []
        columns: dict[str, pa.Array] = {"id": pa.array([r.id for r in rows], pa.utf8())}
        for m in self.meta.widths:
            mine: list[ModalityPrompts | None] = [getattr(r, m) for r in rows]
            columns[f"{m}_frames"] = _lists([None if p is None else p.frames for p in mine], pa.int32())
            halves = [None if p is None else p.embeddings.astype(np.float16) for p in mine]
            columns[f"{m}_embeddings"] = _lists(halves, pa.float16())
            if m == "language":
                columns["texts"] = pa.array(
                    [None if p is None else p.texts for p in mine], pa.list_(pa.utf8())
                )
            else:
                columns["boxes"] = _lists([None if p is None else p.boxes for p in mine], pa.float32())
                columns["flags"] = _lists([None if p is None else p.flags for p in mine], pa.bool_())
        self._file.write(columns)

    def __enter__(self) -> PromptStoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._file.__exit__(kind, value, trace)


def _lists(arrays: list[np.ndarray | None], kind: pa.DataType) -> pa.Array:
    flat = [None if a is None else np.asarray(a).ravel() for a in arrays]
    return pa.array(flat, pa.list_(kind))


@dataclass
class PromptStore:
    """A prompt store, opened memory-mapped.

    Args:
        path: the file, made by ``kinelex prompts``.

    Raises:
        InputError: no file, no prompt store, or damaged.
    """

    path: Path
    meta: PromptMeta = field(init=False)

    def __post_init__(self) -> None:
        self.path = Path(self.path)
        reader, header = open_arrow(self.path, KIND, MADE_BY, FORMAT_VERSION)
        self.meta = PromptMeta(
            header["dataset"], header["store_fingerprint"], header["engines"], header["widths"]
        )
        self._table = reader.read_all()

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities the store has, in the order language, vision."""
        return tuple(m for m in MODALITIES if m in self.meta.widths)

    @cached_property
    def ids(self) -> list[str]:
        """Clip ids, in row order."""
        return self._table.column("id").to_pylist()

    @cached_property
    def _row(self) -> dict[str, int]:
        return {clip: row for row, clip in enumerate(self.ids)}

    def __len__(self) -> int:
        return self._table.num_rows

    def clip(self, clip_id: str) -> ClipPrompts:
        """The prompts of one clip by its id.

        Raises:
            InputError: no such clip.
        """
        if clip_id not in self._row:
            raise InputError(f"{self.path} has no prompts for the clip {clip_id}")
        row = self._row[clip_id]
        result = ClipPrompts(clip_id)
        for m in self.modalities:
            frames = self._value(f"{m}_frames", row)
            if frames is None:
                continue
            embeddings = np.asarray(self._value(f"{m}_embeddings", row), np.float16).reshape(len(frames), -1)
            prompts = ModalityPrompts(np.asarray(frames), embeddings)
            if m == "language":
                prompts.texts = self._value("texts", row)
            else:
                boxes, flags = self._value("boxes", row), self._value("flags", row)
                prompts.boxes = None if boxes is None else np.asarray(boxes).reshape(-1, 4)
                prompts.flags = None if flags is None else np.asarray(flags)
            setattr(result, m, prompts)
        return result

    def _value(self, column: str, row: int) -> Any:
        return self._table.column(column)[row].as_py()

    def present(self, modality: str) -> np.ndarray:
        """Which rows have prompts in a modality, shape (rows,) bool."""
        return self._table.column(f"{modality}_frames").is_valid().to_numpy()

    def bank(self, modality: str) -> PromptBank:
        """All embeddings of one modality.

        Raises:
            InputError: the store lacks the modality, or clips differ in their number of prompts.
        """
        if modality not in self.modalities:
            raise InputError(
                f"{self.path} has {' and '.join(self.modalities)} prompts, none of {modality}: "
                f"make them with `{MADE_BY} --{modality} ENGINE`"
            )
        present = self.present(modality)
        frames = self._table.column(f"{modality}_frames").combine_chunks().flatten().to_numpy()
        values = self._table.column(f"{modality}_embeddings").combine_chunks().flatten().to_numpy()
        count, width = int(present.sum()), self.meta.widths[modality]
        if count == 0 or len(frames) % count:
            raise InputError(f"{self.path}: expects the same number of {modality} prompts for every clip")
        frames = frames.reshape(count, -1)
        values = values.reshape(count, -1, width)
        whole = frames[0] == WHOLE_CLIP
        if (
            (frames[:, whole] != WHOLE_CLIP).any()
            or (frames[:, ~whole] == WHOLE_CLIP).any()
            or whole.sum() > 1
        ):
            raise InputError(
                f"{self.path}: expects at most one whole-clip prompt, at the same place in every clip"
            )
        frame = np.zeros((len(self), int((~whole).sum()), width), np.float16)
        frame[present] = values[:, ~whole]
        clip = None
        if whole.any():
            clip = np.zeros((len(self), width), np.float16)
            clip[present] = values[:, whole][:, 0]
        return PromptBank(frame, clip, present)


def open_prompts(path: str | Path) -> PromptStore:
    """Open a prompt store made by ``kinelex prompts``.

    Args:
        path: the store's file.

    Raises:
        InputError: no file, no prompt store, or damaged.
    """
    return PromptStore(Path(path))
