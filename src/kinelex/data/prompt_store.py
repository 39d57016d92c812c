"""The prompt store: texts, boxes and embeddings of every clip's knowledge prompts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from kinelex.data.arrow import open_arrow
from kinelex.data.content import ContentDigest, RowChecks, numbers, row_numbers, validity
from kinelex.data.pictures import Pictures
from kinelex.data.prompt_checks import check_rows, fields_of, is_cost
from kinelex.data.prompt_writer import (
    MODALITIES,
    PROMPTS,
    WHOLE_CLIP,
    ClipPrompts,
    ModalityPrompts,
    PromptBank,
    PromptMeta,
    cost_file,
)
from kinelex.data.skeleton_store import SkeletonStore
from kinelex.errors import InputError, one_line
from kinelex.facts import Facts
from kinelex.files.bounded import safe_json


@dataclass(repr=False)
class PromptStore(Pictures, Facts):
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
        file = open_arrow(self.path, PROMPTS, fields_of)
        self.meta = PromptMeta(
            file.header["dataset"],
            file.header["store_fingerprint"],
            file.header["engines"],
            file.header["widths"],
            tuple(file.header.get("kept", ())),
            file.header.get("cost") or self._cost(),
        )
        try:
            check_rows(file.batches, self.meta)
        except ValueError as error:
            raise PROMPTS.damaged(self.path, one_line(error)) from error
        self._table = pa.Table.from_batches(file.batches)
        self._recorded, names = file.fingerprint, self._table.column_names
        self._checks = {
            column: RowChecks(file.batches, PROMPTS.row_check(column, names))
            for column in PROMPTS.checksums
            if file.fingerprint is not None and column in names
        }

    def facts(self) -> dict[str, Any]:
        """Path, data set, number of clips, and by modality the engine, the encoder and the width."""
        about = {}
        for modality, width in self.meta.widths.items():
            parts = [p for p in self.meta.engines.get(modality, {}).values() if isinstance(p, dict)]
            names = [str(part["name"]) for part in parts if "name" in part]
            about[modality] = ", ".join([*names, f"{width} numbers"])
        return {"path": str(self.path), "dataset": self.meta.dataset, "clips": len(self), **about}

    @cached_property
    def fingerprint(self) -> str:
        """Identifies all that is in the store: a run remembers which prompts it was trained with."""
        if self._recorded is not None:
            return self._recorded
        digest = ContentDigest(self._table.column_names)
        for batch in self._table.to_batches():
            digest.update(batch)
        return digest.hexdigest(repr(sorted(self.meta.widths.items())).encode())

    def verify(self, rows: Iterable[int] | None = None, pictures: bool | None = None) -> None:
        """Compare prompts with their checksums; a clip that fits is done for good.

        Args:
            rows: the clips, all where None is given.
            pictures: True compares the pictures alone, False the rest alone, None both.
        """
        some = np.arange(len(self)) if rows is None else row_numbers(list(rows)) % len(self)
        for column, checks in self._checks.items():
            if pictures in (None, column == "picture_checksum"):
                wrong = checks.wrong(some)
                if wrong:
                    several = "" if len(wrong) == 1 else f" and of {len(wrong) - 1} more clips"
                    raise PROMPTS.damaged(
                        self.path, f"the prompts of {self.ids[wrong[0]]}{several} are not what was written"
                    )

    def _cost(self) -> dict[str, dict[str, float]]:
        try:
            cost = safe_json(cost_file(self.path).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return cost if is_cost(cost) else {}

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

    def belongs_to(self, store: SkeletonStore) -> bool:
        """Whether these are the prompts of a skeleton store: made for it, or without one and of its ids."""
        if self.meta.store_fingerprint is None:
            return set(store.ids) <= self._row.keys()
        return self.meta.store_fingerprint == store.fingerprint

    def must_belong_to(self, store: SkeletonStore) -> None:
        """Refuse a skeleton store whose prompts these are not.

        Raises:
            InputError: it is another store, or these prompts, made without one, lack some of its clips.
        """
        if not self.belongs_to(store):
            why = f"for another store (data set {self.meta.dataset}) than {store.path}"
            if self.meta.store_fingerprint is None:
                lacking = sorted(set(store.ids) - self._row.keys())
                why = f"without a store, {len(lacking)} clips of {store.path} are lacking, the first is "
                why += lacking[0]
            raise InputError(
                f"{self.path} was made {why}: make prompts for this one with `kinelex prompts {store.path} "
                "--out PROMPTS ...`"
            )

    def clip(self, clip_id: str) -> ClipPrompts:
        """The prompts of one clip by its id."""
        if clip_id not in self._row:
            raise InputError(f"{self.path} has no prompts for the clip {clip_id}")
        row = self._row[clip_id]
        self.verify([row], pictures=False)
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

    def frames(self, modality: str) -> list[list[int] | None]:
        """Frame indices of all clips' prompts in a modality, in row order; None where a clip has none."""
        return self._table.column(f"{modality}_frames").to_pylist()

    def texts(self) -> list[list[str] | None]:
        """The texts of all clips, in row order; None where a clip has none."""
        self.verify(pictures=False)
        return self._table.column("texts").to_pylist()

    def flags(self) -> list[list[bool] | None]:
        """Of all clips which pictures show no person, in row order; None where a clip has no pictures."""
        self.verify(pictures=False)
        return self._table.column("flags").to_pylist()

    def present(self, modality: str) -> np.ndarray:
        """Which rows have prompts in a modality, shape (rows,) bool."""
        column = self._table.column(f"{modality}_frames")
        return np.concatenate([validity(chunk) for chunk in column.chunks])

    def bank(self, modality: str) -> PromptBank:
        """All embeddings of one modality."""
        if modality not in self.modalities:
            raise InputError(
                f"{self.path} has {' and '.join(self.modalities)} prompts, none of {modality}: "
                f"make them with `{PROMPTS.made_by} --{modality} ENGINE`"
            )
        self.verify(pictures=False)
        present = self.present(modality)
        frames, values = (
            numbers(self._table.column(f"{modality}_{name}").combine_chunks().flatten())
            for name in ("frames", "embeddings")
        )
        if self._recorded is None and not np.isfinite(values).all():  # a store without checksums
            raise PROMPTS.damaged(self.path, f"some {modality} embeddings are not finite numbers")
        count, width = int(present.sum()), self.meta.widths[modality]
        if count == 0 or len(frames) % count:
            raise InputError(f"{self.path}: expects the same number of {modality} prompts for every clip")
        frames = frames.reshape(count, -1)
        values = values.reshape(count, -1, width)
        whole = frames[0] == WHOLE_CLIP
        at_two_places = (frames[:, whole] != WHOLE_CLIP).any() or (frames[:, ~whole] == WHOLE_CLIP).any()
        if at_two_places or whole.sum() > 1:
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

    Raises:
        InputError: no file, no prompt store, or damaged.
    """
    return PromptStore(Path(path))
