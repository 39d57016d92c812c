"""2-D key points with scores, from the pickle to the report: every general recipe, task and verb."""

import json
from dataclasses import dataclass
from pathlib import Path

import filmed
import numpy as np
import pytest
import yaml

from kinelex.cli import main
from kinelex.data import open_prompts, open_store
from kinelex.prompts import registry

SMALL = ["epochs=1", "frames=12", "batch_size=6", "accelerator=cpu", "precision=32-true"]
OF_RECIPE = {
    "supervised": ["encoder.channels=2", "depth=[1,1,1]"],
    "c2vl": ["encoder.channels=2", "depth=[1,1,1]", "dim=8"],
    "cmd": ["hidden=8", "queue=16", "top_k=8"],
    "usdrl": ["channels=2", "encoder.depth=[1,1,1]", "dim=8", "hidden=8"],
    "sofa": ["encoder.dim=8", "depth=1", "encoder.heads=2", "prototypes=8", "method.dim=4", "hidden=8"],
    "mamp": ["encoder.dim=8", "depth=1", "encoder.heads=2", "decoder_depth=1", "decoder_heads=2"],
    "amr": ["encoder.dim=8", "depth=1", "encoder.heads=2", "decoder_depth=1", "decoder_heads=2"],
    "skeletonclr": ["channels=2", "encoder.depth=[1,1,1]", "dim=8", "queue=16"],
    "aimclr": ["channels=2", "encoder.depth=[1,1,1]", "dim=8", "queue=16"],
    "mmcl": ["encoder.channels=2", "depth=[1,1,1]"],
}
BRIEF = "epochs=1,batch_size=6"
CHANGES = [f"robustness.{key}=" for key in ("noise", "joints", "parts", "frames", "rate")]
TASKS = {
    "supervised": (
        ("classify", "knn", "calibration", "robustness", "finetune", "transfer"),
        [*CHANGES, "robustness.rotation=30", f"finetune.changes={BRIEF}"],
    ),
    "cmd": (
        ("linear", "linear_sgd", "retrieval", "one_shot", "semi"),
        ["one_shot.split=random:2:0", "semi.draws=1", "semi.kinds=random", "semi.ratios=0.5"]
        + [f"semi.changes={BRIEF}"],
    ),
    "c2vl": (("knn",), []),
    "sofa": (("knn",), []),
    "usdrl": (("knn",), []),
    "mamp": (("knn",), []),
    "amr": (("knn",), []),
    "skeletonclr": (("knn",), []),
    "aimclr": (("knn",), []),
    "mmcl": (("classify",), []),
}


class Letters:
    """A text encoder: how many of some letters a text has."""

    name, version, width = "letters", "1", 8

    def encode(self, texts: list[str]) -> np.ndarray:
        return np.array([[text.count(letter) for letter in "aeiothdr"] for text in texts], np.float32)


class Means:
    """An image encoder: the means of an image's quarters."""

    name, version, width = "means", "1", 4

    def encode(self, images: np.ndarray) -> np.ndarray:
        quarters = np.array_split(images.reshape(len(images), -1).astype(np.float32), 4, axis=1)
        return np.stack([quarter.mean(axis=1) for quarter in quarters], axis=1)


@dataclass(frozen=True)
class Filmed:
    folder: Path
    store: Path
    other: Path
    prompts: Path


def ok(*words: object) -> None:
    assert main([str(word) for word in words]) == 0, words


@pytest.fixture(scope="module", autouse=True)
def tiny_encoders():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.PARTS[registry.TEXT_ENCODER], "letters", Letters)
        patch.setitem(registry.PARTS[registry.IMAGE_ENCODER], "means", Means)
        yield


@pytest.fixture(scope="module")
def flat(tmp_path_factory, tiny_encoders) -> Filmed:
    """Two stores, of one layout each, and prompts for the first."""
    folder = tmp_path_factory.mktemp("flat")
    made = Filmed(folder, folder / "s.arrow", folder / "other.arrow", folder / "p.arrow")
    for store, layout, seed in ((made.store, "coco17", 0), (made.other, "openpose18", 1)):
        source = filmed.write_pickle(store.with_suffix(".pkl"), layout, seed=seed)
        ok(
            "prepare",
            "pyskl",
            source,
            "--out",
            store,
            "--classes",
            source.with_suffix(".txt"),
            "--layout",
            layout,
        )
    encoders = ("--text-encoder", "letters", "--image-encoder", "means", "--frames", 4, "--keep", "tile")
    engines = ("--language", "kinematic", "--vision", "render", "--vision-frames", 2)
    ok("prompts", made.store, "--out", made.prompts, *engines, *encoders)
    return made


def trained(flat: Filmed, recipe: str, out: Path, protocol: str = "xsub") -> Path:
    prompts = ["--prompts", flat.prompts] if recipe in ("c2vl", "mmcl") else []
    given = ("--data", flat.store, "--protocol", protocol, "--out", out)
    ok("train", recipe, *given, *prompts, *SMALL, *OF_RECIPE[recipe])
    assert yaml.safe_load((out / "config.yaml").read_text())["from_store"]
    return out


def test_prompts_are_told_and_drawn_as_filmed(flat: Filmed) -> None:
    prompts = open_prompts(flat.prompts)
    assert prompts.meta.engines["vision"]["engine"]["views"] == ["filmed"]
    squat = next(i for i, label in enumerate(open_store(flat.store).labels) if label == 1)
    assert "The hips dip" in str(prompts.clip(prompts.ids[squat]).language.texts[-1])
    ok(
        "prompts-report",
        flat.prompts,
        "--data",
        flat.store,
        "--protocol",
        "xsub",
        "--json",
        flat.folder / "p.json",
    )
    page = flat.prompts.with_suffix(".html").read_text()
    assert "in front of" not in page
    assert "metre" not in page


@pytest.mark.parametrize("recipe", OF_RECIPE)
def test_every_general_recipe_from_training_to_report(flat: Filmed, tmp_path: Path, recipe: str) -> None:
    run = trained(flat, recipe, tmp_path / "run")
    tasks, options = TASKS[recipe]
    if "transfer" in tasks:
        options = [*options, f"transfer.data={flat.other}", "transfer.protocol=xsub", "transfer.by=linear"]
    ok("evaluate", run, "--tasks", ",".join(tasks), "--json", tmp_path / "e.json", *options)
    found = json.loads((tmp_path / "e.json").read_text())
    assert set(tasks) <= set(found)
    if "robustness" in tasks:
        assert list(found["robustness"]["changes"]["rotation"]) == ["30"]
    page = (run / "report.html").read_text()
    assert page.rstrip().endswith("</html>")
    assert "in front of" not in page
    assert "metre" not in page


def test_zero_shot_with_texts_of_classes(flat: Filmed, tmp_path: Path) -> None:
    protocol = "xsub:seen-random:2:0"
    run = trained(flat, "c2vl", tmp_path / "run", protocol)
    ok("evaluate", run, "--tasks", "zero_shot", "--json", tmp_path / "e.json")
    assert 0 <= json.loads((tmp_path / "e.json").read_text())["zero_shot"]["top1"] <= 1


@pytest.mark.parametrize("mode", ["batch_norm", "linear", "full"])
def test_adapt_and_compare(flat: Filmed, tmp_path: Path, mode: str, capsys) -> None:
    run = flat.folder / "base"
    if not run.exists():
        trained(flat, "supervised", run)
    changes = [] if mode == "batch_norm" else ["epochs=1", "batch_size=6"]
    place = ("--protocol", "xsub", "--out", tmp_path / "to")
    ok("adapt", run, "--data", flat.other, *place, "--mode", mode, *changes)
    said = capsys.readouterr().out
    assert ("2-D store: input.rotation=[0,0,0.1]" in said) == (mode == "full")
    if mode == "linear":
        ok("evaluate", tmp_path / "to", "--tasks", "knn")
        (tmp_path / "same.yaml").write_text(yaml.safe_dump({name: name for name in filmed.NAMES}))
        ok("evaluate", run, "--on", flat.other, "--class-map", tmp_path / "same.yaml")


def test_a_study_and_what_is_said_of_stores(flat: Filmed, tmp_path: Path, capsys) -> None:
    options = (
        "--data",
        flat.store,
        "--protocol",
        "xsub",
        "--prompts",
        flat.prompts,
        "--out",
        tmp_path / "study",
    )
    ok("study", "beta", *options, "--seeds", 0, "--tasks", "knn", "beta=0,1", *SMALL, *OF_RECIPE["c2vl"])
    runs = sorted((tmp_path / "study" / "runs").glob("beta*"))
    ok("compare", *runs, "--out", tmp_path / "compared")
    ok("info", runs[0])
    ok("info", flat.store, "--html", tmp_path / "card.html")
    card = (tmp_path / "card.html").read_text()
    assert "pixels" in card
    assert "as filmed" in card
    assert "in front of" not in card
    ok("info", flat.prompts)
    for to in ("ctrgcn_npz", "pyskl", "npy"):
        ok("export-data", flat.store, "--to", to, "--out", tmp_path / f"out.{to}")


def test_runs_of_the_other_kind_are_refused(flat: Filmed, tmp_path: Path, acted, capsys) -> None:
    solid = flat.store.with_suffix(".actors")
    for words in (
        [
            "adapt",
            acted.run,
            "--data",
            flat.store,
            "--protocol",
            "xsub",
            "--out",
            tmp_path / "a",
            "--mode",
            "full",
        ],
        [
            "evaluate",
            acted.run,
            "--tasks",
            "transfer",
            f"transfer.data={flat.store}",
            "transfer.protocol=xsub",
        ],
    ):
        assert main([str(word) for word in words]) == 2
        assert "reads 3-D coordinates" in " ".join(capsys.readouterr().err.split())
    assert solid.exists()
