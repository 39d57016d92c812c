"""Search with a page of what was found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from kinelex.data import Clip, SkeletonStore
from kinelex.data.named_clips import NamedClips
from kinelex.datasets.single import ReadOptions
from kinelex.errors import InputError
from kinelex.inference.clips import clips_of_arrays, read_inputs
from kinelex.inference.search import Hits, SearchIndex
from kinelex.reports.show import Page, Shown
from kinelex.reports.show.clips import one_clip
from kinelex.skeleton import get_layout


@dataclass(frozen=True)
class Found(Hits):
    """What was found in a store, and for a query by clip that clip; a notebook shows players."""

    store: SkeletonStore | None = None
    example: Clip | None = None

    def page(self) -> Page:
        """The clips as a page of players, an example first, then the most similar one."""
        store = self.store
        assert store is not None
        shown = [] if self.example is None else [Shown(self.example, note="searched for")]
        shown += [
            Shown(store.clip(hit.row), note=f"{place}. similarity {hit.similarity:.3f}")
            for place, hit in enumerate(self.hits, start=1)
        ]
        notes = [f"{len(self.hits)} of {len(store)} clips of {store.path.name}"]
        return Page(self.query, shown, notes + [self.note] * bool(self.note))

    def _repr_html_(self) -> str:
        return self.page()._repr_html_()


def search(
    store: SkeletonStore | str | Path,
    words: str | None = None,
    run: str | Path | None = None,
    top: int = 10,
    clip: int | str | None = None,
    like: Any = None,
    read: ReadOptions | None = None,
    **settings: Any,
) -> Found:
    """Find clips of a store by words, or by an example.

    For many searches in one store keep a :class:`kinelex.inference.search.SearchIndex`.

    Args:
        store: the skeleton store.
        words: what the body does, for a run that learned a space of clips and texts (C2VL).
        run: the run directory.
        top: how many clips.
        clip: id or row of a clip of the store, which others are to be like.
        like: the same from outside: a file, or an array, of the layout of ``read`` or of the store.
        read: how ``like`` is read.
        **settings: ``prompts``, ``device`` and ``console`` of the index.

    Raises:
        InputError: not exactly one of ``words``, ``clip`` and ``like``, or what the index refuses.

    Shape:
        - like: an array is (T, V, C) or (T, M, V, C)

    >>> search("clips.arrow")
    Traceback (most recent call last):
    kinelex.errors.InputError: expects a run, and one of: words, a clip of the store, a file like which ...
    """
    if run is None or sum(given is not None for given in (words, clip, like)) != 1:
        raise InputError(
            "expects a run, and one of: words, a clip of the store, a file like which others are"
        )
    settings.setdefault("console", Console(stderr=True))
    index, example = SearchIndex(store, run, **settings), None
    if words is not None:
        found = index.by_words(words, top)
    elif clip is not None:
        found, example = index.by_clip(clip, top), index.store.clip(clip)
    else:
        own = _example(like, read or ReadOptions(), index.store, settings["console"])
        found, example = index.by_example(own, top), one_clip(own, 0)
    return Found(found.query, found.hits, found.note, index.store, example)


def _example(
    like: Any, read: ReadOptions, store: SkeletonStore, console: Console
) -> NamedClips | SkeletonStore:
    if isinstance(like, np.ndarray):
        layout = store.layout if read.layout is None else get_layout(read.layout)
        return clips_of_arrays([like], layout, read.fps)
    groups, notes = read_inputs([Path(like)], read, store.meta.dataset)
    for note in notes:
        console.print(note, markup=False, soft_wrap=True)
    count = sum(map(len, groups))
    if count != 1:
        raise InputError(f"{like} has {count} clips: expects one that others are to be like")
    return groups[0]
