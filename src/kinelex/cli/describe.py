"""What a file or folder is: a skeleton store, a prompt store or a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from kinelex.data.arrow import kind_of
from kinelex.errors import InputError
from kinelex.training.run_sources import run_folder, stands_for_run


def describe(
    path: str | Path, html: str | Path | None = None, verify: bool = False
) -> tuple[dict[str, Any], RenderableType]:
    """Describe a skeleton store, a prompt store or a run directory.

    Args:
        path: the file or folder.
        html: for a skeleton store, also check every clip and write the data-set card to this file.
        verify: also compare every clip of a store with its checksum.

    Returns:
        The numbers, and the same as tables for the terminal. With ``html``, the numbers of a skeleton store
        have the card's ``warnings`` too.
    """
    path = run_folder(path) if stands_for_run(path) else Path(path)
    if not path.exists():
        raise InputError(
            f"{path} does not exist; expects a skeleton store, a prompt store or a run directory"
        )
    if html is not None and (path.is_dir() or kind_of(path) == "prompt store"):
        found = "a directory" if path.is_dir() else "a prompt store"
        raise InputError(f"--html writes the card of a skeleton store, {path} is {found}")
    if path.is_dir():
        if verify:
            raise InputError(f"--verify compares a store with its checksums, {path} is a directory")
        return _describe_run(path)
    if kind_of(path) == "prompt store":
        from kinelex.data import open_prompts
        from kinelex.prompts import describe_prompts

        if verify:
            open_prompts(path).verify()
        description = describe_prompts(path)
        overview = {k: v for k, v in description.items() if k != "modalities"}
        rows = {f"prompt store {path.name}": overview, **description["modalities"]}
        return description, Group(*(_table(title, of) for title, of in rows.items()))
    from kinelex.data import open_store
    from kinelex.datasets import describe_store, render_store

    store = open_store(path)
    if verify:
        store.verify()
    description = describe_store(store)
    shown = render_store(description)
    if html is None:
        return description, shown
    from kinelex.reports.card import scan_store, warnings_of, write_card

    checks = scan_store(store)
    warnings = warnings_of(store, checks)
    description["warnings"] = [warning.to_json() for warning in warnings]
    card = write_card(store, html, description, checks, warnings)
    return description, Group(shown, _warnings(description["warnings"]), f"card in {card}")


def describe_layout(name: str) -> tuple[dict[str, Any], RenderableType]:
    """The joints of a layout in the order of the coordinates, each with its parent and body part.

    Args:
        name: a built-in name or a YAML file.

    Returns:
        The same as a description and as a table for the terminal.

    >>> describe_layout("coco17")[0]["joints"][9]
    {'index': 9, 'joint': 'left_wrist', 'parent': 'left_elbow', 'part': 'left_arm'}
    """
    from kinelex.skeleton import get_layout

    layout = get_layout(name)
    part_of = {j: part for part, joints in layout.parts.items() for j in joints}
    rows = [
        {"index": j, "joint": joint, "parent": layout.joints[layout.parents[j]], "part": part_of[j]}
        for j, joint in enumerate(layout.joints)
    ]
    table = Table(title=f"layout {escape(layout.name)}, {len(rows)} joints", title_justify="left")
    for column in ("index", "joint", "parent", "part"):
        table.add_column(column, justify="right" if column == "index" else "left")
    for row in rows:
        root = row["parent"] if row["parent"] != row["joint"] else "(root)"
        table.add_row(str(row["index"]), escape(str(row["joint"])), escape(str(root)), str(row["part"]))
    return {"layout": layout.name, "joints": rows}, table


def _warnings(warnings: list[dict[str, Any]]) -> Table:
    table = Table(title="warnings", title_justify="left")
    table.add_column("kind")
    table.add_column("clips", justify="right")
    table.add_column("for example", overflow="fold")
    for warning in warnings:
        kind, items = warning["kind"].replace("_", " "), "\n".join(warning["items"][:2])
        table.add_row(kind, str(warning["count"]), items)
    if not warnings:
        table.add_row("none", "0", "")
    return table


def _describe_run(path: Path) -> tuple[dict[str, Any], RenderableType]:
    from kinelex.training.encoder_files import streams_of
    from kinelex.training.run_directory import RunDirectory
    from kinelex.transforms import InputConfig, transforms_of
    from kinelex.transforms.lift import LIFTER, reading_from

    run = RunDirectory(path)
    config, metrics = run.config, run.metrics()
    done = len(metrics) if (path / "metrics.csv").is_file() else None  # a shared run does not say
    settings, lifter = config.get("input", {}), path / LIFTER  # the run's own copy: the original may be gone
    settings = reading_from(settings, str(lifter)) if lifter.is_file() else settings
    description: dict[str, Any] = {
        "run": str(path),
        "recipe": config["recipe"],
        "dataset": config["dataset"],
        "protocol": config["protocol"],
        "method": config["method"],
        "encoder": config["encoder"],
        "transforms": [repr(t) for t in transforms_of(InputConfig.read(settings))],
        "streams": streams_of(path),
        "epochs_done": done,
        "epochs": config.get("training", {}).get("epochs"),
        "finished": (path / "encoder.safetensors").is_file(),
        "evaluations": sorted(f.stem for f in (path / "evaluation").glob("*.json")),
        "last_epoch": metrics[-1] if metrics else {},
        "environment": run.environment,
    }
    if "converted" in config:
        description["converted"] = config["converted"]
    if "adapted" in config:
        description["adapted"] = {key: config["adapted"][key] for key in ("mode", "run")}
    tables = [_table(f"run {path.name}", {k: v for k, v in description.items() if k != "last_epoch"})]
    if metrics:
        tables.append(_table("last epoch", {k: f"{v:.4g}" for k, v in metrics[-1].items()}))
    return description, Group(*tables)


def _table(title: str, rows: dict[str, Any]) -> Table:
    table = Table(title=escape(title), show_header=False, title_justify="left")
    for name, value in rows.items():
        if isinstance(value, dict):
            value = "\n".join(f"{k}: {v}" for k, v in value.items())
        elif isinstance(value, (list, tuple)):
            value = ", ".join(str(v) for v in value)
        table.add_row(name.replace("_", " "), "–" if value is None else escape(str(value)))
    return table
