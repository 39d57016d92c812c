"""What a file or folder is: a skeleton store, a prompt store or a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from kinelex.errors import InputError
from kinelex.store._arrow import kind_of


def describe(path: str | Path) -> tuple[dict[str, Any], RenderableType]:
    """Describe a skeleton store, a prompt store or a run directory.

    Args:
        path: the file or folder.

    Returns:
        The numbers, and the same as tables for the terminal.

    Raises:
        InputError: nothing there, or none of the three.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(
            f"{path} does not exist; expects a skeleton store, a prompt store or a run directory"
        )
    if path.is_dir():
        return _describe_run(path)
    if kind_of(path) == "prompt store":
        from kinelex.prompts import describe_prompts

        description = describe_prompts(path)
        modalities = description["modalities"]
        overview = {k: v for k, v in description.items() if k != "modalities"}
        tables = [_table(f"prompt store {path.name}", overview)]
        tables += [_table(modality, numbers) for modality, numbers in modalities.items()]
        return description, Group(*tables)
    from kinelex.datasets import describe_store, render_store
    from kinelex.store import open_store

    description = describe_store(open_store(path))
    return description, render_store(description)


def _describe_run(path: Path) -> tuple[dict[str, Any], RenderableType]:
    from kinelex.training.run_directory import RunDirectory

    run = RunDirectory(path)
    config, metrics = run.config, run.metrics()
    description: dict[str, Any] = {
        "run": str(path),
        "recipe": config["recipe"],
        "dataset": config["dataset"],
        "protocol": config["protocol"],
        "method": config["method"],
        "encoder": config["encoder"],
        "epochs_done": len(metrics),
        "epochs": config["training"]["epochs"],
        "finished": (path / "encoder.safetensors").is_file(),
        "evaluations": sorted(f.stem for f in (path / "evaluation").glob("*.json")),
        "last_epoch": metrics[-1] if metrics else {},
        "environment": run.environment,
    }
    last = description["last_epoch"]
    tables = [_table(f"run {path.name}", {k: v for k, v in description.items() if k != "last_epoch"})]
    if last:
        tables.append(_table("last epoch", {k: f"{v:.4g}" for k, v in last.items()}))
    return description, Group(*tables)


def _table(title: str, rows: dict[str, Any]) -> Table:
    table = Table(title=title, show_header=False, title_justify="left")
    for name, value in rows.items():
        if isinstance(value, dict):
            value = "\n".join(f"{k}: {v}" for k, v in value.items())
        elif isinstance(value, (list, tuple)):
            value = ", ".join(str(v) for v in value)
        table.add_row(name.replace("_", " "), str(value))
    return table
