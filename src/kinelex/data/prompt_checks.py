"""Private machinery of the prompt store: whether header and columns of a file fit each other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from kinelex.data.content import numbers, row_lengths, validity
from kinelex.data.prompt_writer import KEPT, MODALITIES, WHOLE_CLIP, PromptMeta, prompt_fields


def fields_of(header: dict[str, Any]) -> list[pa.Field]:
    """The columns that a header tells.

    Raises:
        ValueError: the header has entries of the wrong type.
    """
    widths, kept = header["widths"], header.get("kept", [])
    if not isinstance(header["dataset"], str) or not isinstance(header["store_fingerprint"], str | None):
        raise ValueError("data set and fingerprint are not all text")
    if not isinstance(header["engines"], dict) or not is_cost(header.get("cost", {})):
        raise ValueError("engines or cost are not as expected")
    if not isinstance(widths, dict) or not widths or not set(widths) <= set(MODALITIES):
        raise ValueError(f"expects the widths of {' and '.join(MODALITIES)}")
    if any(type(width) is not int or not 0 <= width < 2**20 for width in widths.values()):
        raise ValueError("the width of an embedding is out of range")
    if not isinstance(kept, list) or not all(what in KEPT for what in kept):
        raise ValueError(f"expects {' or '.join(KEPT)} as what is kept of pictures")
    return prompt_fields(widths, kept)


def is_cost(cost: Any) -> bool:
    """Whether a value is numbers by name, per modality."""
    return isinstance(cost, dict) and all(
        isinstance(counts, dict) and all(isinstance(n, int | float) for n in counts.values())
        for counts in cost.values()
    )


def check_rows(batches: Iterable[pa.RecordBatch], meta: PromptMeta) -> None:
    """See whether frames, embeddings, texts, boxes and pictures of all clips belong together.

    Raises:
        ValueError: they do not; says what is wrong.
    """
    for batch in batches:
        if not validity(batch.column("id")).all():
            raise ValueError("a clip lacks its id")
        for modality, width in meta.widths.items():
            frames = batch.column(f"{modality}_frames")
            present, count = validity(frames), row_lengths(frames)
            if frames.values.null_count or (numbers(frames.flatten()) < WHOLE_CLIP).any():
                raise ValueError(f"a frame of the {modality} prompts is no frame")
            if (count[present] == 0).any():
                raise ValueError(f"a clip has {modality} prompts of no frame")
            per_frame = {f"{modality}_embeddings": width}
            per_frame |= {"texts": 1} if modality == "language" else {"boxes": 4, "flags": 1}
            for name, each in per_frame.items():
                column = batch.column(name)
                there = validity(column)
                if (there > present).any() or (row_lengths(column) != count * each * there).any():
                    raise ValueError(f"the number of {name} does not fit the frames")
                if column.values.null_count:
                    raise ValueError(f"some of the {name} are missing")
            if (validity(batch.column(f"{modality}_embeddings")) != present).any():
                raise ValueError(f"some {modality} prompts have no embeddings")
        if "crops" in meta.kept:
            pictures = row_lengths(batch.column("crops"))
            if (pictures[validity(batch.column("crops"))] == 0).any():
                raise ValueError("a clip has a list of crops with no picture")
            if (pictures[count > 0] % count[count > 0]).any() or batch.column("crops").values.null_count:
                raise ValueError("the number of crops does not fit the frames")
