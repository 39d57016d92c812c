"""Small good stores, prompt stores, runs, score files, texts and YAML files, for :mod:`fuzz` to spoil."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from fuzz_seeds import Kind
from rich.console import Console

from kinelex import encoders
from kinelex.cli.describe import describe
from kinelex.data import (
    WHOLE_CLIP,
    ClipPrompts,
    ModalityPrompts,
    PromptMeta,
    PromptStoreWriter,
    Sequence,
    SkeletonStoreWriter,
    StoreMeta,
    open_prompts,
    open_store,
    write_jpeg,
)
from kinelex.data.splits.seen_classes import class_split
from kinelex.datasets import get_split
from kinelex.evaluation.protocols.cross_dataset import read_class_map
from kinelex.evaluation.published.numbers import read_published
from kinelex.evaluation.score_pickles import read_published as read_score_pickle
from kinelex.evaluation.scores import ScoreFile, load_scores
from kinelex.evaluation.study.definition import find_study
from kinelex.prompts.engines.classes import read_descriptions
from kinelex.prompts.engines.texts import read_texts
from kinelex.reports.run.task_sections import other_sets
from kinelex.reports.run.write import _diagnostics
from kinelex.skeleton import get_layout
from kinelex.training.encoder_files import load_encoders, save_encoders
from kinelex.training.fit import _check_checkpoint
from kinelex.training.recipe import find_recipe, resolve
from kinelex.training.run_directory import RunDirectory
from kinelex.transforms import InputConfig, InputPipeline

SBU = get_layout("sbu15")
CLASSES = ("wave", "nod", "kick")


def _store(path: Path) -> None:
    rng = np.random.default_rng(0)
    with SkeletonStoreWriter(path, StoreMeta("toy", SBU, CLASSES)) as writer:
        for i in range(4):
            x = rng.normal(size=(3, 1 + i % 2, 15, 3))
            beside: dict[str, Any] = {"scores": np.ones(x.shape[:3]), "caption": f"clip {i}"}
            splits = ("given:train" if i % 2 else "given:test",)
            writer.add(Sequence(f"c{i}", x, i % 3, subject=i, splits=splits, fps=30.0, **beside))


def _again(path: Path, version: int, without: list[str]) -> None:
    """Write a store as an older version would: no checksums."""
    table = pa.ipc.open_file(str(path)).read_all().drop_columns(without)
    header = json.loads(table.schema.metadata[b"kinelex"]) | {"format_version": version}
    table = table.replace_schema_metadata({b"kinelex": json.dumps(header).encode()})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _prompts(path: Path) -> None:
    rng = np.random.default_rng(0)
    widths = {"language": 4, "vision": 3}
    engines = {m: {"engine": {"name": "toy"}, "encoder": {"name": "toy"}} for m in widths}
    meta = PromptMeta("toy", "0123456789abcdef", engines, widths, ("crops", "tile"))
    picture = write_jpeg(np.full((8, 8, 3), 99, np.uint8))
    with PromptStoreWriter(path, meta) as writer:
        for i in range(3):
            frames = np.array([0, WHOLE_CLIP])
            language = ModalityPrompts(frames, rng.normal(size=(2, 4)), texts=["up", "down"])
            vision = ModalityPrompts(np.array([1]), rng.normal(size=(1, 3)))
            vision.boxes, vision.flags = rng.uniform(0, 9, (1, 4)), np.array([i == 1])
            vision.crops, vision.tile = [picture], picture
            writer.add(ClipPrompts(f"c{i}", language, vision))


def _old_store(path: Path) -> None:
    _store(path)
    _again(path, 2, ["fps", "checksum"])


def _old_prompts(path: Path) -> None:
    _prompts(path)
    _again(path, 1, ["checksum", "picture_checksum"])


def _shown(path: Path) -> None:
    """What `kinelex info --json` does."""
    description, tables = describe(path)
    Console(file=io.StringIO(), width=100).print(tables)
    json.dumps(description).encode()


def _read_store(path: Path) -> None:
    _shown(path)
    store = open_store(path)
    for i in range(len(store)):
        assert np.isfinite(store.sequence(i)).all()
        store.scores(i), store.image_coordinates(i), store.image_size(i)
    get_split(store, "given")


def _read_prompts(path: Path) -> None:
    _shown(path)
    prompts = open_prompts(path)
    for clip in prompts.ids:
        prompts.clip(clip)
    for modality in prompts.modalities:
        prompts.bank(modality)
    for row in range(len(prompts)):
        prompts.crops(row)
    prompts.tiles(range(len(prompts)))
    prompts.check_tiles(range(len(prompts)))


def _run(folder: Path) -> None:
    config = {
        "recipe": "supervised",
        "data": "toy.arrow",
        "dataset": "toy",
        "store_fingerprint": "0123456789abcdef",
        "protocol": "given",
        "prompts": None,
    }
    recipe = resolve(*find_recipe("supervised")).to_dict()
    run = RunDirectory.create(folder / "run", config | {k: v for k, v in recipe.items() if k != "name"})
    made = encoders.create("gru", layout=SBU, hidden=4, layers=1)
    pipeline = InputPipeline(SBU, replace(InputConfig(), align="none"))
    options = {"name": "gru", "hidden": 4, "layers": 1}
    save_encoders(run.path, {"joint": made}, options, pipeline)
    (run.path / "metrics.csv").write_text("epoch,loss\n0,1.5\n1,1.25\n")
    bins = np.linspace(-1, 1, 5)
    np.savez(run.path / "diagnostics.npz", bins=bins, **{"off_diagonal/a": np.ones((2, 4))})
    evaluation = run.evaluation_dir
    result = {"protocol": "given", "dataset": "toy", "class_map_name": "m", "top1": 0.5, "top1_mapped": 0.5}
    counts = {"clips": 4, "classes": 3, "mapped_classes": 2}
    result |= {"counts": counts, "chance": 0.3, "chance_mapped": 0.5}
    (evaluation / "on_toy.json").write_text(json.dumps(result))
    (evaluation / "knn.json").write_text(json.dumps({"protocol": "given", "top1": 0.5}))


def _read_run(folder: Path) -> None:
    path = folder / "run"
    _shown(path)
    run = RunDirectory(path)
    _ = run.config, run.environment, run.metrics()
    load_encoders(path)
    other_sets(run)
    _diagnostics(run)


def _checkpoint(path: Path) -> None:
    module = torch.nn.Linear(3, 2)
    content = {
        "state_dict": module.state_dict(),
        "kinelex": {"epoch": 1},
        "optimizer_states": [],
        "loops": {},
    }
    torch.save(content | {"pytorch-lightning_version": "2.5"}, path)


def _scores(path: Path) -> None:
    logits = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    ids, labels = tuple(f"c{i}" for i in range(4)), np.arange(4) % 3
    ScoreFile(ids, labels, logits, CLASSES, dataset="toy", protocol="given").save(path)


def _score_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({f"c{i}": np.ones(3, np.float32) for i in range(4)}))


def _read_score_pickle(path: Path) -> None:
    _store(path.parent / "store.arrow")
    store = open_store(path.parent / "store.arrow")
    read_score_pickle(path, store, np.arange(4), "given")


def _one(name: str, write: Any, read: Any) -> Kind:
    """A kind of one file; a text is its content."""

    def written(folder: Path) -> None:
        path = folder / name
        if callable(write):
            write(path)
        else:
            path.write_text(write)

    return Kind(written, lambda folder: read(folder / name))


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", json.dumps({"c0": ["He sits.", "He reads."]}))
        archive.writestr("b.json", json.dumps({"c1": "He waves."}))


def _split(path: Path) -> None:
    _store(path.parent / "store.arrow")
    get_split(open_store(path.parent / "store.arrow"), f"file:{path}")


def _with_store(name: str, text: str) -> Kind:
    return _one(name, text, _split)


RECIPE = """method: {name: supervised}
encoder: {name: gru, hidden: 8}
input: {stream: joint, frames: 32}
optimizer: {name: adamw, lr: 0.001}
training: {epochs: 2, batch_size: 4}
"""
STUDY = "recipe: supervised\ngrid:\n  optimizer.lr: [0.1, 0.01]\n  encoder.hidden: [8, 16]\nseeds: [0, 1]\n"
PUBLISHED = """- method: Toy
  variant: joint
  task: classify
  source: {title: A paper, url: "https://example.org", where: Table 1}
  top1: {ntu60: {xsub: 84.4}}
"""
LAYOUT = "name: arm\njoints:\n  shoulder: shoulder\n  elbow: shoulder\n  hand: elbow\n"

OTHERS: dict[str, Kind] = {
    "store": _one("s.arrow", _store, _read_store),
    "store of version 2": _one("s.arrow", _old_store, _read_store),
    "prompts": _one("p.arrow", _prompts, _read_prompts),
    "prompts of version 1": _one("p.arrow", _old_prompts, _read_prompts),
    "run": Kind(_run, _read_run),
    "checkpoint": _one("a.ckpt", _checkpoint, lambda path: _check_checkpoint(path, torch.nn.Linear(3, 2))),
    "scores": _one("a.npz", _scores, load_scores),
    "score pickle": _one("a.pkl", _score_pickle, _read_score_pickle),
    "texts": _one("a.json", json.dumps({"c0": ["He sits."], "c1": "He waves."}), read_texts),
    "texts in a zip": _one("a.zip", _zip, read_texts),
    "layout": _one("a.yaml", LAYOUT, get_layout),
    "recipe": _one("a.yaml", RECIPE, lambda path: resolve(*find_recipe(str(path)))),
    "study": _one("a.yaml", STUDY, lambda path: find_study(str(path))),
    "class split": _one("a.yaml", "unseen: [nod, kick]\n", lambda path: class_split(str(path), CLASSES)),
    "class map": _one(
        "a.yaml", "nod: wave\nkick: nod\n", lambda path: read_class_map(str(path), CLASSES, CLASSES)
    ),
    "descriptions": _one(
        "a.yaml", "nod: The head.\nwave: [A, B]\n", lambda path: read_descriptions(path, CLASSES)
    ),
    "published": _one("a.yaml", PUBLISHED, read_published),
    "split csv": _with_store("a.csv", "id,part\nc0,train\nc1,test\nc2,train\n"),
    "split json": _with_store("a.json", json.dumps({"train": ["c0", "c2"], "test": ["c1"]})),
    "split yaml": _with_store("a.yaml", "train: [c0, c2]\ntest: [c1]\n"),
}
