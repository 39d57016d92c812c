"""The whole of ``kinelex prompts-report``: measure prompt stores, write the page and the numbers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kinelex.data import open_prompts, open_store
from kinelex.errors import InputError
from kinelex.evaluation.baselines import chance
from kinelex.evaluation.rows import percent
from kinelex.files.atomic import check_target, spare_stores, write_numbers
from kinelex.reports.prompts.clips import clips_of, split_clips
from kinelex.reports.prompts.judge import PromptQuality
from kinelex.reports.prompts.tables import WORDS
from kinelex.reports.prompts.write import render_page


def prompts_report(
    prompts: Sequence[str | Path],
    data: str | Path | None = None,
    protocol: str | None = None,
    out: str | Path | None = None,
    json_path: str | Path | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure how good prompts are, and write a page with numbers, pictures and texts.

    Labels are used for this report only. Without a skeleton store they are read from the ids where those are
    keys of PKU-MMD; where no class is known, what needs one is left out.

    Args:
        prompts, data: prompt stores of the same clips, and the skeleton store that they were made for.
        protocol: the split for the probes; by default 80 % of every class train, drawn by ``seed``.
        out, json_path: the HTML file (by default beside the first prompt store), and one for the numbers.
        seed: of the random split, and of what is drawn where there is too much to show.

    Returns:
        ``clips``, ``classes`` (that occur), ``protocol``, ``train`` and ``test`` (numbers of clips),
        ``baselines`` (``chance``, ``majority``) and in ``stores`` the numbers of every prompt store.

    Raises:
        InputError: no prompt store, stores of different clips, an unknown protocol, or a file that cannot be
            written.
    """
    stores = [open_prompts(path) for path in prompts]
    if not stores:
        raise InputError("expects one prompt store or more")
    page = stores[0].path.with_suffix(".html") if out is None else Path(out)
    for target in (page, *([] if json_path is None else [Path(json_path)])):
        _check(target)
    clips = clips_of(stores, None if data is None else open_store(data))
    split, train, test = split_clips(clips, protocol, seed)
    names = short_names([s.path for s in stores])
    pairs = zip(names, stores, strict=True)
    qualities = [PromptQuality(name, store, clips, train, test, seed) for name, store in pairs]
    probed = len(train) > 0 and len(test) > 0
    guesses = chance(clips.labels[train], clips.labels[test], len(clips.classes)) if probed else {}
    result: dict[str, Any] = {
        "clips": len(clips),
        "classes": len(clips.classes),
        "protocol": split if probed else None,
        "train": len(train),
        "test": len(test),
        "baselines": {name: row.top1 for name, row in guesses.items()},
        "stores": [one.to_json() for one in qualities],
    }
    write_numbers(page, render_page(qualities, result, seed))
    if json_path is not None:
        write_numbers(Path(json_path), json.dumps(result, indent=2, default=str) + "\n")
    return result


def short_names(paths: list[Path]) -> list[str]:
    """A short name per store: of the file, with its folder where two are the same.

    >>> short_names([Path("llava.arrow"), Path("one/qwen.arrow"), Path("two/qwen.arrow")])
    ['llava', 'one/qwen', 'two/qwen']
    """
    stems = [path.stem for path in paths]
    short = [s if stems.count(s) == 1 else f"{p.parent.name}/{s}" for s, p in zip(stems, paths, strict=True)]
    return [s if short.count(s) == 1 else f"{s} ({i})" for i, s in enumerate(short, 1)]


def _check(path: Path) -> None:
    """See before the work whether a file can be written after it."""
    check_target(path)
    spare_stores(path)
    parent = next(p for p in path.absolute().parents if p.exists())
    if not parent.is_dir():
        raise InputError(f"{path} cannot be written: {parent} is a file, expects a directory")


def print_summary(result: dict[str, Any]) -> None:
    """The probes of every store as a table for the terminal."""
    table = Table(title_justify="left", title=escape(_title(result)))
    for name in ("prompts", "of", "linear probe %", "nearest %", "note"):
        table.add_column(name, justify="right" if "%" in name else "left", overflow="fold")
    for store in result["stores"]:
        for m, row in store["linear"].items():
            rates = (percent(row["top1"]), percent(store["knn"][m]["top1"]))
            table.add_row(escape(store["name"]), WORDS[m], *rates, escape(row["note"]))
    for name, rate in result["baselines"].items():
        table.add_row(name, "", percent(rate), "", "")
    if table.row_count:
        Console().print(table)
    else:
        Console().print(_title(result), markup=False, soft_wrap=True)


def _title(result: dict[str, Any]) -> str:
    if not result["classes"]:
        return f"the classes of these {result['clips']} clips are not known: pass --data STORE"
    if result["protocol"] is None:
        return f"{result['clips']} clips of {result['classes']} known classes: too few for probes"
    sizes = f"{result['train']} training and {result['test']} test clips"
    return f"{result['protocol']}: {sizes} of {result['classes']} classes that occur"
