"""The verb ``search``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kinelex.cli.shared_options import read_options, shares
from kinelex.errors import InputError


@shares(read_options)
def search(
    store: Path,
    words: str | None = None,
    *,
    run: Path,
    clip: str | None = None,
    like: Path | None = None,
    top: int = 10,
    out: Path | None = None,
    csv: Path | None = None,
    prompts: Path | None = None,
    device: str = "cpu",
    **told: Any,
) -> dict[str, Any]:
    """Find clips of a store by words ("raises both hands"), or those that are like a clip.

    Args:
        store: the skeleton store.
        words: what the body does; for runs that learned a space of clips and texts (c2vl with language).
        run: the trained run that compares; it keeps the store's features.
        clip: find clips like this one of the store, by its id.
        like: find clips like this one: a clip of any format that prepare reads, or a video.
        top: how many clips are found.
        out: also show them as players in this HTML file.
        csv: also write a row for each clip to this file.
        prompts: the prompts of the run, which say by what texts are embedded, where they are now.
        device: where the encoders run: cpu, cuda.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from kinelex.files.atomic import check_target, csv_text, write_numbers
    from kinelex.reports.search import search as find

    if sum(given is not None for given in (words, clip, like)) != 1:
        raise InputError(
            'expects words such as "raises both hands", or --clip ID, or --like FILE: one of them'
        )
    if top < 1:
        raise InputError(f"--top {top}: expects to find 1 clip or more")
    for target in (out, csv):
        if target is not None:
            check_target(target)
    read = read_options(**told)
    option = next(iter(read.given()), None)
    if like is None and option is not None:
        raise InputError(f"--{option} says how --like is read: leave it out")
    found = find(store, words, run, top, clip, like, read, prompts=prompts, device=device)
    if csv is not None:
        write_numbers(csv, csv_text(found.rows()))
    table = Table(title=escape(found.query), title_justify="left", caption_justify="left")
    for name in ("", "similarity", "class", "clip"):
        table.add_column(name, overflow="fold")
    for place, hit in enumerate(found.hits, start=1):
        table.add_row(str(place), f"{hit.similarity:.3f}", escape(hit.label or "–"), escape(hit.id))
    table.caption = escape(found.note) or None
    Console().print(table)
    if out is not None:
        print(f"page in {found.page().write(out)}")
    return {"query": found.query, "note": found.note, "hits": found.rows()}
