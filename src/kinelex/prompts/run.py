"""Making a prompt store: texts and pictures of every clip, embedded, in shards that survive a kill."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Task as BarTask
from rich.text import Text

from kinelex.errors import InputError, unknown_name
from kinelex.prompts._jobs import Advance, LanguageJob, VisionJob
from kinelex.prompts._parts import Parts, check_same
from kinelex.prompts.describe import describe_prompts
from kinelex.prompts.protocols import EngineContext
from kinelex.prompts.registry import IMAGE_ENCODER, LANGUAGE, SECTIONS, TEXT_ENCODER, VISION, create
from kinelex.store import ClipPrompts, PromptMeta, PromptStoreWriter, SkeletonStore, open_prompts, open_store

POOLS = ("sentences", "text")


@dataclass(frozen=True)
class PromptSummary:
    """What :func:`make_prompts` made.

    Args:
        path: the prompt store.
        clips: number of clips.
        missing: per modality, how many clips lack it.
        flagged: share of pictures that are the whole frame because no person was found.
        seconds: time this call took.
        resumed: whether an earlier run had done part of the work, or all.
    """

    path: Path
    clips: int
    missing: dict[str, int]
    flagged: float
    seconds: float
    resumed: bool

    def __str__(self) -> str:
        lacking = "".join(f", {n} without {m}" for m, n in self.missing.items() if n)
        flagged = f", {100 * self.flagged:.1f} % of the pictures show no person" if self.flagged else ""
        again = ", a part of it done before" if self.resumed else ""
        return f"prompts of {self.clips} clips{lacking}{flagged} in {self.seconds:.0f} s{again}: {self.path}"


def make_prompts(
    store_path: str | Path,
    out: str | Path,
    language: str | None = "kinematic",
    vision: str | None = None,
    source: str | Path | None = None,
    frames: int = 16,
    vision_frames: int | None = None,
    text_encoder: str = "minilm",
    image_encoder: str = "efficientnet_lite0",
    pool: str = "sentences",
    options: Mapping[str, Mapping[str, Any]] | None = None,
    progress: bool = True,
) -> PromptSummary:
    """Make the knowledge prompts of a skeleton store and embed them, once, before training.

    Work is kept in the folder ``<out>.parts`` until all is done. Killed at any moment and called again
    with the same arguments it goes on, and the result equals that of an uninterrupted run.

    Args:
        store_path: the skeleton store.
        out: the prompt store to make.
        language: a language engine by name, or None.
        vision: a vision engine by name, or None.
        source: folder of the raw files, for vision engines that read pictures.
        frames: texts per clip, spread uniformly over it; one about the whole clip comes on top.
        vision_frames: pictures per clip; None takes the engine's own number.
        text_encoder: a text encoder by name.
        image_encoder: an image encoder by name.
        pool: ``sentences`` embeds each different sentence once and a text as the mean of its sentences;
            ``text`` embeds each text as a whole.
        options: options of the engines and encoders by section, ``{"vision": {"image_size": 96}}``; sections
            are ``language``, ``vision``, ``pictures``, ``text_encoder`` and ``image_encoder``.
        progress: show a progress bar.

    Raises:
        InputError: an unknown name or option, a number out of range, nothing asked for, no clip with
            a picture, an output (or its ``.parts``) begun with other settings or for another store, or
            one that cannot be written.

    Source: C2VL (arXiv 2405.20606), knowledge prompts; engines that need no download stand in for theirs.
    """
    started = time.perf_counter()
    store, out = open_store(store_path), Path(out)
    if language is None and vision is None:
        raise InputError("nothing to do: name a language engine, a vision engine or both")
    if min(frames, 1 if vision_frames is None else vision_frames) < 1:
        raise InputError(
            f"expects at least 1 frame per clip, got frames {frames}, vision frames {vision_frames}"
        )
    if pool not in POOLS:
        raise unknown_name("pool", pool, POOLS)
    own = {section: dict((options or {}).get(section, {})) for section in SECTIONS}
    context = EngineContext(store, None if source is None else Path(source))
    jobs: list[LanguageJob | VisionJob] = []
    if language is not None:
        engine = create(LANGUAGE, language, context, **own["language"])
        jobs.append(
            LanguageJob(
                store, engine, create(TEXT_ENCODER, text_encoder, **own["text_encoder"]), frames, pool
            )
        )
    if vision is not None:
        engine = create(VISION, vision, context, **own["vision"])
        count = engine.default_frames if vision_frames is None else vision_frames
        jobs.append(
            VisionJob(store, engine, create(IMAGE_ENCODER, image_encoder, **own["image_encoder"]), count)
        )
    try:
        resumed = _work(store, out, jobs, progress)
    except OSError as error:
        raise InputError(f"{out} cannot be made: {error}") from error
    about = describe_prompts(out)
    flagged = about["modalities"].get("vision", {}).get("flagged", 0.0)
    missing = {m: a["missing"] for m, a in about["modalities"].items()}
    return PromptSummary(out, len(store), missing, flagged, time.perf_counter() - started, resumed)


def _work(store: SkeletonStore, out: Path, jobs: list[LanguageJob | VisionJob], progress: bool) -> bool:
    """Make and merge all shards, unless that is done already; returns whether there was something before."""
    meta = PromptMeta(
        store.meta.dataset,
        store.fingerprint,
        {job.modality: job.settings for job in jobs},
        {job.modality: job.width for job in jobs},
    )
    if out.exists():
        _check_output(out, meta)
        Parts(out, _identity(meta)).remove()  # left over if the last run died while it cleaned up
        return True
    parts = Parts(out, _identity(meta))
    with _bar(progress) as advance:
        for job in jobs:
            job.make(parts, advance)
    with PromptStoreWriter(out, meta) as writer:
        made = zip(store.ids, *(job.prompts(parts) for job in jobs), strict=True)
        present = 0
        for clip, *prompts in made:
            present += prompts[-1] is not None
            writer.add(ClipPrompts(clip, **{j.modality: p for j, p in zip(jobs, prompts, strict=True)}))
        if not present:
            raise InputError(
                f"no clip of {store.path} has {jobs[-1].modality} prompts: is --source the right folder?"
            )
    parts.remove()
    return parts.resumed


def _identity(meta: PromptMeta) -> dict[str, Any]:
    return {"dataset": meta.dataset, "store fingerprint": meta.store_fingerprint, **meta.engines}


def _check_output(out: Path, meta: PromptMeta) -> None:
    """Refuse to overwrite anything but the same prompts of the same store."""
    try:
        there = open_prompts(out).meta
    except InputError as error:
        raise InputError(f"{out} is there already and is no prompt store: name another file") from error
    check_same(_identity(there), _identity(meta), f"{out} was made")


class _Rate(ProgressColumn):
    """How many per second."""

    def render(self, task: BarTask) -> Text:
        return Text(f"{task.speed:.0f}/s" if task.speed else "", style="progress.data.speed")


@contextmanager
def _bar(show: bool) -> Iterator[Advance]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, disable=not show) as bar:
        tasks: dict[str, Any] = {}

        def advance(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        yield advance
