"""Train a method: from stores and a recipe to a run directory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from kinelex import plugins
from kinelex.data import SkeletonStore, open_prompts
from kinelex.data.persons import say_crowded
from kinelex.data.several import SeveralStores, Stores, listed_paths, open_stores
from kinelex.data.splits.folds import fold_names
from kinelex.data.splits.several import protocols_of, split_of
from kinelex.data.splits.split import get_split
from kinelex.errors import InputError
from kinelex.files.lock import is_first_process, sole_writer
from kinelex.training.build import InitialWeights, build_module, training_rows
from kinelex.training.embedding_space_files import save_embedding_space
from kinelex.training.encoder_files import complete_options, save_encoders
from kinelex.training.fit import fit
from kinelex.training.folds import fold_path
from kinelex.training.precision import measured_precision, supported_precision
from kinelex.training.recipe import SECTIONS, Recipe, listed_changes, plain, resolve
from kinelex.training.run_directory import RunDirectory, check_free
from kinelex.training.store_defaults import recipe_for, resolve_for, said
from kinelex.training.store_runs import write_store_runs
from kinelex.training.trackers import Description, check_trackers, following

Describe = Callable[[RunDirectory], Description]


def train(
    recipe: str,
    data: str | Path,
    protocol: str,
    out: str | Path,
    prompts: str | Path | None = None,
    overrides: str | Iterable[str] = (),
    resume: bool = False,
    console: Console | None = None,
    describe: Describe | None = None,
) -> RunDirectory:
    """Train a method on the training part of a protocol. Only a supervised method reads labels.

    Args:
        recipe: recipe name (a bare method name takes the one for the store's data set) or YAML file.
        data: the skeleton store, or several with commas between them.
        protocol: a protocol of the store, for example ``xview``; of several stores one each with commas
            between them, or one for all. ``loso:*`` and other :func:`folds
            <kinelex.data.splits.folds.fold_names>` are trained one after another, each in ``out/folds``.
        out: the run directory to make, or to go on with.
        prompts: the prompt store, for a method that reads prompts; of several stores those that there are,
            with commas between them.
        overrides: ``key=value`` changes to the recipe, one or several.
        resume: go on with the run in ``out``; its own config holds.
        console: where to print.
        describe: what the trackers of ``training.logger`` show of the finished run beside its metrics.

    Raises:
        InputError: anything that does not fit together; nothing is written then.
    """
    store = open_stores(data)
    if "*" in protocol and not isinstance(store, SeveralStores):
        asked: dict[str, Any] = {"console": console, "describe": describe}
        return _train_folds(recipe, store, protocol, out, prompts, overrides, resume, **asked)
    if resume:
        if "adapted" in RunDirectory(out).config:
            raise InputError(f"{out} was made by `kinelex adapt`: go on with `kinelex adapt ... --resume`")
        resolved, config = reopen(out, store, protocol, overrides)
        prompts = prompts or config["prompts"]
    else:
        found, rows = recipe_for(recipe, store), split_of(store, protocol).train
        resolved = resolve_for(store, *found, overrides, rows=rows)
    return train_resolved(resolved, store, protocol, out, prompts, resume, console, describe=describe)


def _train_folds(
    recipe: str,
    store: SkeletonStore,
    protocol: str,
    out: str | Path,
    prompts: str | Path | None,
    overrides: str | Iterable[str],
    resume: bool,
    **settings: Any,
) -> RunDirectory:
    """Train a run for each fold of a protocol that stands for several; finished ones are left as they are."""
    names, overrides = fold_names(store, protocol), listed_changes(overrides)
    if resume:
        settled, config = reopen(out, store, protocol, overrides)
        run, prompts = RunDirectory(out), prompts or config["prompts"]
    else:
        check_free(out, can_resume=True)
        found, rows = recipe_for(recipe, store), get_split(store, names[0]).train
        settled = resolve_for(store, *found, overrides, rows=rows)
        rehearse(settled, store, names[0], prompts=prompts)
        run = RunDirectory.create(out, {**_config(settled, store, protocol, prompts), "folds": names})
    for name in names:
        path = fold_path(out, name)
        if not (path / "encoder.safetensors").is_file():
            train_or_resume(settled, store, name, path, prompts, overrides if resume else (), **settings)
    return run


def train_or_resume(
    recipe: Recipe,
    store: Stores,
    protocol: str,
    out: str | Path,
    prompts: str | Path | None = None,
    overrides: str | Iterable[str] = (),
    **settings: Any,
) -> RunDirectory:
    """Train as :func:`train_resolved` does, or go on with the run that is in ``out``, by its own recipe.

    Args:
        overrides: changes to the recipe of a run that is there, as far as :func:`reopen` allows them.
    """
    begun = (Path(out) / "config.yaml").is_file()
    recipe = reopen(out, store, protocol, overrides)[0] if begun else recipe
    return train_resolved(recipe, store, protocol, out, prompts, begun, **settings)


def train_resolved(
    recipe: Recipe,
    store: Stores,
    protocol: str,
    out: str | Path,
    prompts: str | Path | None = None,
    resume: bool = False,
    console: Console | None = None,
    start: InitialWeights | None = None,
    describe: Describe | None = None,
) -> RunDirectory:
    """Train what a recipe says, once it is settled; see :func:`train`.

    Raises:
        InputError: anything that does not fit together; nothing is written then.
    """
    console = console or Console()
    split = split_of(store, protocol)
    if is_first_process() and not resume:
        check_free(out, can_resume=True)
    check_trackers(recipe.training.logger)
    rows = training_rows(recipe, store, split)
    resolved = measured_precision(recipe, store, rows, prompts, start, console)
    module = build_module(resolved, store, rows, prompts, start)
    resolved = module.recipe
    with sole_writer(out):
        if resume or not is_first_process():
            run = RunDirectory(out, is_there=resume)  # the first process may not have made it yet
            if resume and not has_prompts(run.config, prompts):
                raise InputError(
                    f"{out} was trained with other prompts than those in {prompts}: resume with the same, or "
                    "train anew with another --out"
                )
        else:
            config = _config(resolved, store, protocol, prompts)
            run = RunDirectory.create(out, config if start is None else {**config, "adapted": start.record})
        if not is_first_process():
            console = Console(quiet=True)
        method = module.method
        reads = ("modalities", method.modalities) if method.modalities else ("streams", method.encoders)
        console.print(
            f"{resolved.method['name']} with the recipe {resolved.name}: {len(rows)} clips of "
            f"{store.meta.dataset} ({protocol}), {resolved.training.epochs} epochs, "
            f"{reads[0]}: {', '.join(reads[1])}",
            markup=False,
            soft_wrap=True,
        )
        if chosen := said(resolved, store):
            console.print(chosen, markup=False, soft_wrap=True)
        say_crowded(console, store, rows, resolved.input.persons)
        labelled = [path for path in listed_paths(prompts or "") if open_prompts(path).meta.uses_labels]
        if labelled and not method.needs_labels:
            console.print(
                f"[yellow]warning[/]: {escape(','.join(labelled))} was made from labels, so this training is "
                "not self-supervised",
                soft_wrap=True,
            )
        names = resolved.training.logger if is_first_process() and resolved.training.epochs else ()
        with following(names, run, describe) as loggers:
            if resolved.training.epochs:
                fit(module, resolved, run, resume, console, loggers)
            if is_first_process():
                last = method.classifiers, store.class_names if method.classifiers else ()
                save_encoders(run.path, method.encoders, resolved.encoder, module.pipeline, *last)
                if method.embedding_space is not None:
                    save_embedding_space(run.path, method.embedding_space)
                if isinstance(store, SeveralStores):
                    write_store_runs(run, store)
    return run


def rehearse(
    recipe: Recipe,
    store: Stores,
    protocol: str,
    start: InitialWeights | None = None,
    prompts: str | Path | None = None,
) -> None:
    """Build all that :func:`train_resolved` needs, pass one clip through it, and leave nothing."""
    training = replace(recipe.training, placement="mmap")  # one clip is read, not the whole store
    resolved = supported_precision(replace(recipe, training=training))
    build_module(resolved, store, training_rows(resolved, store, split_of(store, protocol)), prompts, start)


def store_config(store: Stores, protocol: str) -> dict[str, Any]:
    """What a run was trained on, as its ``config.yaml`` says it; of several stores also each by itself."""
    config = {"dataset": store.meta.dataset, "store_fingerprint": store.fingerprint, "protocol": protocol}
    if not isinstance(store, SeveralStores):
        return {"data": str(store.path.resolve()), **config}
    protocols = protocols_of(store, protocol)
    parts = [store_config(*pair) for pair in zip(store.stores, protocols, strict=True)]
    return {"data": ",".join(part["data"] for part in parts), **config, "stores": parts}


def _config(recipe: Recipe, store: Stores, protocol: str, prompts: str | Path | None) -> dict[str, Any]:
    return {
        "recipe": recipe.name,
        **store_config(store, protocol),
        "prompts": None
        if prompts is None
        else ",".join(str(Path(p).resolve()) for p in listed_paths(prompts)),
        "prompts_fingerprint": None if prompts is None else _prompts_fingerprint(prompts),
        **{k: v for k, v in recipe.to_dict().items() if k != "name"},
        **({"from_store": plain(recipe.from_store)} if recipe.from_store else {}),
        "plugins": plugins.used_by(*recipe.parts),
    }


# What a resumed training may change.
_MACHINE = ("accelerator", "devices", "num_nodes", "strategy", "threads", "recompute")


def reopen(
    out: str | Path, store: Stores, protocol: str, overrides: str | Iterable[str] = ()
) -> tuple[Recipe, dict[str, Any]]:
    """Recipe and config of a run that is to go on.

    Raises:
        InputError: no run that a training goes on in, one of other data, or a change to its recipe.
    """
    config, overrides = RunDirectory(out).config, listed_changes(overrides)
    if "converted" in config:
        raise InputError(f"{out} was converted from {config['converted']['file']}, no training goes on there")
    if config["store_fingerprint"] != store.fingerprint or config["protocol"] != protocol:
        raise InputError(
            f"{out} was trained on {config['dataset']} ({config['protocol']}), {store.path} with the "
            f"protocol {protocol} is something else: resume with the same data and protocol"
        )
    lacking = next((section for section in SECTIONS if section not in config), None)
    if lacking is not None:
        raise InputError(f"{out}/config.yaml is damaged: it has no section {lacking}")
    sections = {section: config[section] for section in SECTIONS}
    try:
        sections["encoder"] = complete_options(sections["encoder"])
        recipe = resolve(config["recipe"], sections)
    except InputError:
        plugins.require(config.get("plugins") or (), out)  # what is unknown may be a plugin's
        raise
    if not overrides:
        return recipe, config
    changed = resolve(config["recipe"], sections, overrides)
    kept = {name: getattr(recipe.training, name) for name in _MACHINE}
    if replace(changed, training=replace(changed.training, **kept)) != recipe:
        raise InputError(
            f"a resumed run keeps its recipe ({out}/config.yaml), but for {', '.join(_MACHINE)}; leave out "
            f"{' '.join(overrides)}"
        )
    return changed, config


def has_prompts(config: dict[str, Any], prompts: str | Path | None) -> bool:
    """Whether a run was trained with these very prompts; old runs do not say it and count as such."""
    recorded = config.get("prompts_fingerprint")
    return recorded is None or prompts is None or _prompts_fingerprint(prompts) == recorded


def _prompts_fingerprint(prompts: str | Path) -> str:
    return ",".join(open_prompts(path).fingerprint for path in listed_paths(prompts))
