"""Making a prompt store: texts and pictures of every clip, embedded, in shards that survive a kill."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinelex.errors import InputError
from kinelex.files.lock import sole_writer
from kinelex.prompts.describe import describe_prompts
from kinelex.prompts.plan import PromptMakers, PromptOptions, jobs_of
from kinelex.prompts.shards import NOTES, Parts, is_complete, meta_of, parts_folder
from kinelex.prompts.work import ALL, Work


@dataclass(frozen=True)
class PromptSummary:
    """What :func:`make_prompts` made.

    Args:
        path: the prompt store, or the folder of shards where only a share was made.
        missing: per modality, how many of the clips lack it.
        flagged: share of pictures that are the whole frame because no person was found.
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
    store: str | Path | None,
    out: str | Path,
    language: str | None = "kinematic",
    vision: str | None = None,
    *,
    share: tuple[int, int] | None = None,
    ray: str | None = None,
    workers: int | None = None,
    progress: bool = True,
    **options: Any,
) -> PromptSummary:
    """Make the knowledge prompts of a skeleton store and embed them, once, before training.

    Work is kept in the folder ``<out>.parts`` until all is done. Killed at any moment and called again
    with the same arguments it goes on, and the result equals that of an uninterrupted run.

    Args:
        store, out, language, vision, options: see :class:`PromptOptions`.
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
    started = time.perf_counter()
    asked = PromptOptions(store, out, language, vision, **options)  # type: ignore[arg-type]
    _check_share(share, ray, workers)
    meta_of(asked.out)  # something else in its place is said now, not when models are loaded
    try:
        with sole_writer(asked.out, shared=share is not None):
            if ray is not None:
                from kinelex.prompts.ray import work_on_cluster

                return _summary(asked.out, started, work_on_cluster(asked, ray, workers, progress))
            return _make(asked, share, progress, started)
    except OSError as error:
        raise InputError(f"{out} cannot be made: {error}") from error


def _make(
    asked: PromptOptions, share: tuple[int, int] | None, progress: bool, started: float
) -> PromptSummary:
    """Make what is not there yet, in this process."""
    makers = PromptMakers(asked, NOTES if share is None else f"{NOTES}-{share[0]}-of-{share[1]}")
    resumed = is_complete(asked.out, makers.meta, makers.clips)
    if not resumed:
        parts = Parts(asked.out, makers.meta, makers.clips)
        work = Work(parts, makers.jobs(parts))
        waits, resumed = work.do(share or ALL, progress), parts.resumed
        if share is not None:
            seconds, notes = time.perf_counter() - started, tuple(makers.notes())
            count = len(parts.clips)
            return PromptSummary(parts.folder, count, {}, 0.0, seconds, resumed, share, waits, notes)
        work.merge(asked.out)
    return _summary(asked.out, started, resumed, makers.notes())


def merge_prompts(out: str | Path) -> PromptSummary:
    """Put the shards that shares of a run have made together, when all are there; needs no engine.

    Raises:
        InputError: nothing was begun, or shards are missing: the message names them.
    """
    started, out = time.perf_counter(), Path(out)
    try:
        if not out.exists() or parts_folder(out).exists():
            parts = Parts.begun(out)
            with sole_writer(out):
                if not is_complete(out, parts.meta, parts.clips):
                    Work(parts, jobs_of(parts)).merge(out)
    except OSError as error:
        raise InputError(f"{out} cannot be made: {error}") from error
    return _summary(out, started, True)


def _check_share(share: tuple[int, int] | None, ray: str | None, workers: int | None) -> None:
    if share is not None and not 1 <= share[0] <= share[1]:
        raise InputError(f"expects share i/n with i from 1 to n, got {share[0]}/{share[1]}")
    if share is not None and ray is not None:
        raise InputError("a Ray cluster divides the work itself: leave out either the share or Ray")
    if workers is not None and (ray is None or workers < 1):
        got = workers if ray else f"{workers} without one"
        raise InputError(f"expects workers of at least 1, together with a Ray cluster; got {got}")


def _summary(out: Path, started: float, resumed: bool, notes: Sequence[str] = ()) -> PromptSummary:
    about = describe_prompts(out)
    flagged = about["modalities"].get("vision", {}).get("flagged", 0.0)
    missing = {m: a["missing"] for m, a in about["modalities"].items()}
    seconds = time.perf_counter() - started
    return PromptSummary(out, about["clips"], missing, flagged, seconds, resumed, notes=tuple(notes))
