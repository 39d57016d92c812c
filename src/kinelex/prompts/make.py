"""Making a prompt store: texts and pictures of every clip, embedded, in shards that survive a kill."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinelex.errors import InputError
from kinelex.files.lock import sole_writer
from kinelex.prompts.describe import describe_prompts
from kinelex.prompts.plan import Made, Plan
from kinelex.prompts.shards import NOTES, Parts, made_before, meta_of, parts_folder
from kinelex.prompts.work import ALL, Work, merge_parts


@dataclass(frozen=True)
class PromptSummary:
    """What :func:`make_prompts` made.

    Args:
        path: the prompt store, or the folder of shards where only a share was made.
        clips: number of clips.
        missing: per modality, how many clips lack it.
        flagged: share of pictures that are the whole frame because no person was found.
        seconds: time this call took.
        resumed: whether an earlier run had done part of the work, or all.
        share: i and n, where only share i of n was made.
        waits: whether embeddings wait for the texts of other shares.
        notes: what engines say about their work, for example what it cost.
    """

    path: Path
    clips: int
    missing: dict[str, int]
    flagged: float
    seconds: float
    resumed: bool
    share: tuple[int, int] | None = None
    waits: bool = False
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lacking = "".join(f", {n} without {m}" for m, n in self.missing.items() if n)
        flagged = f", {100 * self.flagged:.1f} % of the pictures show no person" if self.flagged else ""
        again = ", a part of it done before" if self.resumed else ""
        what = f"prompts of {self.clips} clips{lacking}{flagged}"
        if self.share is not None:
            what = f"share {self.share[0]} of {self.share[1]} of the prompts of {self.clips} clips"
            again += ", texts are embedded when those of all shares are there" if self.waits else ""
        said = "".join(f"\n{note}" for note in self.notes)
        return f"{what} in {self.seconds:.0f} s{again}: {self.path}{said}"


def make_prompts(
    store_path: str | Path | None,
    out: str | Path,
    language: str | None = "kinematic",
    vision: str | None = None,
    source: str | Path | None = None,
    pictures: str | None = None,
    frames: int | None = None,
    vision_frames: int | None = None,
    text_encoder: str = "minilm",
    image_encoder: str = "efficientnet_lite0",
    pool: str | None = None,
    keep: Sequence[str] = (),
    tile_size: int = 320,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    share: tuple[int, int] | None = None,
    ray: str | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> PromptSummary:
    """Make the knowledge prompts of a skeleton store and embed them, once, before training.

    Work is kept in the folder ``<out>.parts`` until all is done. Killed at any moment and called again
    with the same arguments it goes on, and the result equals that of an uninterrupted run.

    Args:
        store_path: the skeleton store; None for a language engine that knows its clips itself (``texts``).
        out: the prompt store to make.
        language: a language engine by name, or None.
        vision: a vision engine by name, or None.
        source: folder or file of raw data, for engines that read it.
        pictures: where engines that look at recorded frames take them from: ``video``, ``depth``, ``render``;
            None takes what each prefers.
        frames: texts per clip, spread uniformly over it; one about the whole clip comes on top. None takes
            the engine's own number, or 16.
        vision_frames: pictures per clip; None takes the engine's own number.
        text_encoder: a text encoder by name.
        image_encoder: an image encoder by name.
        pool: ``sentences`` embeds each different sentence once and a text as the mean of its sentences;
            ``text`` embeds each different text as a whole. None takes what suits the engine.
        keep: what to keep of the pictures themselves, as JPEG: ``crops``, ``tile`` (all pictures of a clip
            in one).
        tile_size: side of a tile in pixels.
        options: options of the engines and encoders by section, ``{"vision": {"image_size": 96}}``; sections
            are ``language``, ``vision``, ``pictures``, ``text_encoder`` and ``image_encoder``.
        share: (i, n) makes the shards of share i of n only; :func:`merge_prompts` puts all together.
        ray: address of a Ray cluster whose workers make the shards, or ``local`` to start one here.
        workers: how many Ray workers; None takes one per GPU of the cluster, or one per core.
        progress: show progress bars.

    Raises:
        InputError: an unknown name or option, a number out of range, nothing asked for, no clip with
            a picture, an output (or its ``.parts``) begun with other settings or for another store, or
            one that cannot be written.

    Source: C2VL (arXiv 2405.20606), knowledge prompts.
    """
    started, out = time.perf_counter(), Path(out)
    plan = Plan(
        None if store_path is None else Path(store_path),
        out,
        language,
        vision,
        None if source is None else Path(source),
        pictures,
        frames,
        vision_frames,
        text_encoder,
        image_encoder,
        pool,
        tuple(sorted(set(keep))),
        tile_size,
        options or {},
    )
    _check_share(share, ray, workers)
    meta_of(out)  # something else in its place is said now, not when models are loaded
    try:
        with sole_writer(out, shared=share is not None):
            return _make(plan, share, ray, workers, progress, started)
    except OSError as error:
        raise InputError(f"{out} cannot be made: {error}") from error


def _make(
    plan: Plan,
    share: tuple[int, int] | None,
    ray: str | None,
    workers: int | None,
    progress: bool,
    started: float,
) -> PromptSummary:
    """Make what is not there yet, here or by the workers of a cluster."""
    if ray is not None:
        from kinelex.prompts.ray import work_on_cluster

        return _summary(plan.out, started, work_on_cluster(plan, ray, workers, progress), [])
    made = Made(plan, NOTES if share is None else f"{NOTES}-{share[0]}-of-{share[1]}")
    resumed = made_before(plan.out, made.meta, made.clips)
    if not resumed:
        parts = Parts(plan.out, made.meta, made.clips)
        work = Work(parts, made.jobs(parts))
        waits, resumed = work.do(share or ALL, progress), parts.resumed
        if share is not None:
            return _share_summary(parts, started, share, waits, made.notes())
        work.merge(plan.out)
    return _summary(plan.out, started, resumed, made.notes())


def merge_prompts(out: str | Path) -> PromptSummary:
    """Put the shards that shares of a run have made together, when all are there; needs no engine.

    Args:
        out: the prompt store to make.

    Raises:
        InputError: nothing was begun, or shards are missing: the message names them.
    """
    started, out = time.perf_counter(), Path(out)
    there = out.exists() and not parts_folder(out).exists()
    try:
        if not there:
            parts = Parts.begun(out)
            with sole_writer(out):
                if not made_before(out, parts.meta, parts.clips):
                    merge_parts(out)
    except OSError as error:
        raise InputError(f"{out} cannot be made: {error}") from error
    return _summary(out, started, True, [])


def _check_share(share: tuple[int, int] | None, ray: str | None, workers: int | None) -> None:
    if share is not None and not 1 <= share[0] <= share[1]:
        raise InputError(f"expects share i/n with i from 1 to n, got {share[0]}/{share[1]}")
    if share is not None and ray is not None:
        raise InputError("a Ray cluster divides the work itself: leave out either the share or Ray")
    if workers is not None and (ray is None or workers < 1):
        raise InputError(
            f"expects workers of at least 1, together with a Ray cluster; got {workers}"
            + ("" if ray else " without one")
        )


def _share_summary(
    parts: Parts, started: float, share: tuple[int, int], waits: bool, notes: list[str]
) -> PromptSummary:
    seconds = time.perf_counter() - started
    count = len(parts.clips)
    return PromptSummary(parts.folder, count, {}, 0.0, seconds, parts.resumed, share, waits, tuple(notes))


def _summary(out: Path, started: float, resumed: bool, notes: list[str]) -> PromptSummary:
    about = describe_prompts(out)
    flagged = about["modalities"].get("vision", {}).get("flagged", 0.0)
    missing = {m: a["missing"] for m, a in about["modalities"].items()}
    seconds = time.perf_counter() - started
    return PromptSummary(out, about["clips"], missing, flagged, seconds, resumed, notes=tuple(notes))
