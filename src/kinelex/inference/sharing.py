"""A run for others: weights as safetensors, its config without places of this machine, and a model card."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from rich.console import Console

from kinelex.errors import InputError
from kinelex.files.atomic import check_place, check_target, spare_stores, write_whole
from kinelex.files.bounded import read_text, safe_json
from kinelex.files.download import file_digest
from kinelex.files.folder_zip import pack_folder
from kinelex.inference.load_model import bare_model, load_model
from kinelex.inference.model import Model
from kinelex.inference.own_head import keep_for_copy
from kinelex.models.hub import upload_run
from kinelex.training.run_directory import RunDirectory

_PLACE = re.compile(r"[/~\\]|[A-Za-z]:[/\\]")  # what an absolute path begins with
_TERMS = "**Fill in before you share this**"


def push(run: str | Path, to: str, private: bool = False, console: Console | None = None) -> dict[str, Any]:
    """Share a run: put it into a repository of the Hugging Face hub, or into a zip file.

    Weights, config, card and what ``predict`` needs are shared; checkpoints, which are pickles, and places
    on this machine are not. A ``README.md`` in the run directory is the card; else one is written.

    Args:
        run: the run directory.
        to: ``user/name``, or a file that ends in ``.zip``.
        private: whether a new repository is to be private.
        console: where messages go; stderr by default.

    Returns:
        Where it is (``address``, or ``zip`` with its ``sha256``), the ``files``, and how to ``load`` it.

    Raises:
        InputError: no finished run, no place to write to, or a hub that refuses.
    """
    console = console or Console(stderr=True)
    path = Path(to)
    if path.suffix == ".zip":
        check_target(path)
        spare_stores(path)
        check_place(path, f"{path} cannot be written")
    elif not re.fullmatch(r"[\w.-]+/[\w.-]+", to):
        raise InputError(f"expects user/name of a repository, or a file that ends in .zip, got {to!r}")
    try:
        model = load_model(run, console=console)
    except InputError as error:
        model = bare_model(run, console=console)
        console.print(
            f"no classes can be told, features alone are shared: {error}", markup=False, soft_wrap=True
        )
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_shared(model, folder, to if path.suffix != ".zip" else path.stem)
        if _TERMS in (folder / "README.md").read_text(encoding="utf-8"):
            console.print("the card says where the terms of data and weights are to be filled in (README.md)")
        files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        if path.suffix == ".zip":
            path.parent.mkdir(parents=True, exist_ok=True)
            pack_folder(folder, path)
            digest = file_digest(path)
            return {"zip": str(path), "sha256": digest, "files": files, "load": f"https://…#sha256={digest}"}
        return {"address": upload_run(folder, to, private), "files": files, "load": f"hf://{to}"}


def write_shared(model: Model, folder: Path, name: str) -> None:
    """Write what is shared of a run.

    Args:
        model: the run.
        folder: an empty folder.
        name: what the card calls it.
    """
    directory = RunDirectory(model.run)
    for path in (model.run / "encoder.json", *sorted(model.run.glob("*.safetensors"))):
        shutil.copyfile(path, folder / path.name)
    write_whole(folder / "config.yaml", yaml.safe_dump(_without_places(directory.config), sort_keys=False))
    own = model.run / "README.md"
    card = read_text(own) if own.is_file() else model_card(directory, model, name)
    write_whole(folder / "README.md", card)
    if model.classes:
        keep_for_copy(model, folder)


def _without_places(value: Any) -> Any:
    """A config in which files are named without the folders they lie in."""
    if isinstance(value, dict):
        return {key: _without_places(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_places(one) for one in value]
    if isinstance(value, str) and _PLACE.match(value):
        return re.split(r"[/\\]", value)[-1]
    return value


def model_card(directory: RunDirectory, model: Model, name: str) -> str:
    """The card of a run, from its own numbers; terms are left to be filled in."""
    config, first = directory.config, next(iter(model.encoders.values()))
    method, encoder = config["method"].get("name"), config["encoder"].get("name")
    parameters = sum(p.numel() for e in model.encoders.values() for p in e.encoder.parameters())
    tags = ["kinelex", "skeleton-based-action-recognition", encoder, method]
    head = yaml.safe_dump({"library_name": "kinelex", "tags": [tag for tag in tags if tag]}, sort_keys=False)
    facts = {
        "method": method,
        "recipe": config["recipe"],
        "encoder": f"{encoder}, {parameters:,} parameters, {first.num_features} features",
        "streams": ", ".join(model.encoders),
        "skeleton": f"{first.source.name}, {first.source.num_joints} joints, {first.encoder.in_channels}-D",
        "data": config["dataset"],
        "protocol": config["protocol"],
        "epochs": len(directory.metrics()) or None,
        "classes": f"{len(model.classes)}, by {model.by}" if model.classes else None,
        "temperature": f"{model.calibration.temperature:.2f}, from {model.calibration.source}"
        if model.classes
        else None,
        "known clips": model.known_clips
        and f"features of {len(model.known_clips.features)} training clips, to tell clips of no class",
    }
    rows = "\n".join(f"| {key} | {value} |" for key, value in facts.items() if value)
    return f"""---
{head}---
# {name}

A skeleton action encoder, trained with kinelex.

```python
import kinelex
model = kinelex.load_model("hf://{name}")
model.predict(frames, fps=30).label  # (T, M, V, C), joints of {first.source.name}
```

| | |
|---|---|
{rows}

## How good it is

{_results(directory.path)}

## Terms

{_TERMS}: under which licence you share these weights, and which terms the data that
they were learned from ({config["dataset"]}) set for that.
"""


def _results(run: Path) -> str:
    """A table of the run's evaluations."""
    rows = []
    for path in sorted((run / "evaluation").glob("*.json")):
        try:
            found = safe_json(read_text(path))
        except ValueError as error:
            raise InputError(f"{path} is damaged ({error}): evaluate the run again") from error
        if isinstance(found, dict) and isinstance(found.get("top1"), float):
            low, high = (f"{100 * bound:.1f}" for bound in found.get("ci95") or (float("nan"),) * 2)
            test, where = (found.get("counts") or {}).get("test", ""), ("dataset", "protocol")
            rows.append(
                f"| {found.get('title', path.stem)} | {', '.join(str(found.get(w, '')) for w in where)} | "
                f"{100 * found['top1']:.1f} | {low} to {high} | {test} |"
            )
    if not rows:
        return "It was not judged: `kinelex evaluate` on the run, then push again."
    table = "\n".join(rows)
    return (
        f"| task | data, protocol | top-1 (%) | 95 % interval | test clips |\n|---|---|---|---|---|\n{table}"
    )
