"""Prompts shard by shard: doing the shards, and putting them together."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kinelex.data import ClipPrompts, PromptStoreWriter, cost_file
from kinelex.errors import InputError
from kinelex.files.atomic import write_whole
from kinelex.progress import progress_bar
from kinelex.prompts.language import Language
from kinelex.prompts.shards import Parts
from kinelex.prompts.stages import Advance, Stage
from kinelex.prompts.vision import Vision

ALL = (1, 1)  # the only share of one
_SHARES = "shares.json"  # into how many shares the work was last divided


class Work:
    """The shards of a run, and what makes them, or where that is not here, what they are."""

    def __init__(self, parts: Parts, jobs: list[Language | Vision]) -> None:
        self.parts, self.jobs = parts, jobs
        self.first = [job.first for job in jobs]

    def last(self) -> list[Stage]:
        """The stages that need all shards of the first ones."""
        return [job.last for job in self.jobs if job.last is not None]

    def do(self, share: tuple[int, int], progress: bool) -> bool:
        """Make the shards of a share that are not there yet; returns whether its embeddings must wait.

        The process that finds all texts there makes all embeddings, its own share of them first.
        """
        if share != ALL:
            self.parts.write_json(_SHARES, share[1])
        for stage in self.first:
            self._do(stage, list(stage.starts(share)), progress)
        if any(stage.missing(self.parts) for stage in self.first if stage.what == "texts"):
            return True
        for stage in self.last():
            own = list(stage.starts(share))
            self._do(stage, [*own, *sorted(set(stage.starts()) - set(own))], progress)
        return False

    def _do(self, stage: Stage, starts: list[int], progress: bool) -> None:
        missing = [start for start in starts if not self.parts.has(stage.file(start))]
        total = stage.count(starts)
        with counted([stage], total, total - stage.count(missing), progress) as advance:
            if missing:
                stage.make(missing, advance)

    def check_whole(self) -> None:
        """Refuse to merge while shards are missing."""
        missing = [(stage, start) for stage in self.first for start in stage.missing(self.parts)]
        if not missing:
            missing = [(stage, start) for stage in self.last() for start in stage.missing(self.parts)]
        if not missing:
            return
        count = self.parts.read_json(_SHARES) if self.parts.has(_SHARES) else 1
        shares = sorted({start // stage.size % count + 1 for stage, start in missing})
        again = ", ".join(f"{s}/{count}" for s in shares)
        again = "the command without --merge" if count == 1 else f"--shard {again}"
        shown = ", ".join(stage.names(start) for stage, start in missing[:4])
        shown += f" and {len(missing) - 4} more" if len(missing) > 4 else ""
        raise InputError(
            f"{self.parts.folder} is not complete, shards are missing: {shown}; run {again} again"
        )

    def merge(self, out: Path) -> None:
        """Put all shards together and delete them."""
        self.check_whole()
        with PromptStoreWriter(out, self.parts.meta) as writer:
            modalities = [job.modality for job in self.jobs]
            lacking = set(modalities)
            for clip, *rows in zip(self.parts.clips.ids, *(job.prompts() for job in self.jobs), strict=True):
                prompts = dict(zip(modalities, rows, strict=True))
                lacking -= {modality for modality, row in prompts.items() if row is not None}
                writer.add(ClipPrompts(clip, **prompts))
            for modality in lacking:
                raise InputError(
                    f"no clip of {self.parts.clips.dataset} has {modality} prompts: is --source the right "
                    f"folder? Delete {self.parts.folder} and start again with the right one"
                )
            cost = {job.modality: self.parts.cost(job.first.what) for job in self.jobs}
            write_whole(cost_file(out), json.dumps(cost, indent=1) + "\n")
        self.parts.remove()


@contextmanager
def counted(stages: list[Stage], total: int, done: int, show: bool) -> Iterator[Advance]:
    """A progress bar over the work of some stages; gives what tells how many more are done."""
    with progress_bar(" and ".join(stage.what for stage in stages), show) as update:
        update(done, total)

        def advance(more: int) -> None:
            nonlocal done
            done += more
            update(done, total)

        yield advance
