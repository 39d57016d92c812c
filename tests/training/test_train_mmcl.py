"""MMCL through training: pictures looked at or cached, teachers switched off, resume, skeletons alone."""

import io
import signal

import numpy as np
import pytest
import torch
import transformers
from processes import run_python
from rich.console import Console
from safetensors.torch import load_file

from kinelex.data import (
    ClipPrompts,
    ModalityPrompts,
    PromptMeta,
    PromptStoreWriter,
    open_prompts,
    open_store,
)
from kinelex.data.pictures import tile_pictures, write_jpeg
from kinelex.datasets import get_split
from kinelex.datasets.synthetic import write_actors
from kinelex.errors import InputError
from kinelex.evaluation import evaluate
from kinelex.prompts.base import EngineContext
from kinelex.prompts.engines.render import RenderVision
from kinelex.training.train import train

SMALL = [
    *("channels=4", "depth=[1,1,1]", "frames=16", "epochs=3", "batch_size=12", "accelerator=cpu"),
    *("precision=32-true", "lr=0.02"),
]
JOINT = [*SMALL, "rgb=joint", "image_size=64"]
WITHOUT = 7  # this clip has neither text nor picture


@pytest.fixture(scope="module")
def acted60(tmp_path_factory):
    """A store of 60 acted clips, and prompts: words that tell the actions apart, drawings and their tiles."""
    folder = tmp_path_factory.mktemp("mmcl")
    write_actors(folder / "store.arrow", clips=60, seed=0)
    store = open_store(folder / "store.arrow")
    engine = RenderVision(EngineContext(store), views=("front",), image_size=48)
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(len(store.class_names), 8))
    meta = PromptMeta("actors", store.fingerprint, {}, {"language": 8, "vision": 3}, ("tile",))
    with PromptStoreWriter(folder / "prompts.arrow", meta) as writer:
        for row, clip in enumerate(store.ids):
            if row == WITHOUT:
                writer.add(ClipPrompts(clip))
                continue
            frames = np.linspace(0, store.lengths[row] - 1, 4).astype(int)
            images = engine.crops(row, frames).images[:, 0]
            tile = write_jpeg(tile_pictures(images, 96))
            vision = ModalityPrompts(frames, images.mean(axis=(1, 2)), boxes=np.zeros((4, 4)), tile=tile)
            words = centres[store.labels[row]] + 0.3 * rng.normal(size=(4, 8))
            writer.add(ClipPrompts(clip, ModalityPrompts(frames, words, ["text"] * 4), vision))
    return folder / "store.arrow", folder / "prompts.arrow"


def fit(acted60, out, changes, prompts=True):
    store, made = acted60
    console = Console(file=io.StringIO())
    return train("mmcl", store, "xsub", out, made if prompts else None, changes, console=console)


@pytest.fixture(scope="module")
def joint(acted60, tmp_path_factory):
    return fit(acted60, tmp_path_factory.mktemp("joint") / "run", JOINT)


def test_an_image_network_trains_along_and_stays_behind(joint, acted60):
    rows = joint.metrics()
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert rows[-1]["alignment/joint"] < rows[0]["alignment/joint"]
    assert {"loss/joint", "refined/joint", "accuracy/joint"} <= set(rows[0])
    state = torch.load(joint.checkpoint, weights_only=True)["state_dict"]
    stem = state["method.image_network.network.network._conv_stem.weight"]
    from kinelex.models.image_network import ImageNetwork

    assert not torch.equal(stem, ImageNetwork(size=32).network.network._conv_stem.weight)
    kept = load_file(joint.path / "encoder.safetensors")
    assert not any("image" in name for name in kept)
    elsewhere = acted60[1].rename(acted60[1].with_suffix(".away"))  # at test time skeletons are enough
    try:
        result = evaluate(joint.path, console=Console(file=io.StringIO()), baselines=False)
    finally:
        elsewhere.rename(acted60[1])
    assert set(result) >= {"classify"}


def test_cached_pictures_are_never_opened(acted60, tmp_path, monkeypatch):
    """Every way to a picture is removed, and a training that looks at them fails on it."""

    def no_pictures(*_, **__):
        raise AssertionError("a picture was opened")

    monkeypatch.setattr("PIL.Image.open", no_pictures)
    run = fit(acted60, tmp_path / "run", SMALL)
    rows = run.metrics()
    assert rows[-1]["alignment/joint"] < rows[0]["alignment/joint"]
    with pytest.raises(AssertionError, match="a picture was opened"):
        fit(acted60, tmp_path / "joint", JOINT)


@pytest.mark.parametrize("changes", [["alignment=0"], ["refinement=0"], ["alignment=0", "refinement=0"]])
def test_each_teacher_can_be_switched_off(acted60, tmp_path, changes):
    run = fit(acted60, tmp_path / "run", _once(changes))
    logged = set(run.metrics()[0])
    assert ("alignment/joint" in logged) == ("alignment=0" not in changes)
    assert ("refined/joint" in logged) == ("refinement=0" not in changes)


def _once(changes):
    return [*(s for s in SMALL if not s.startswith("epochs")), "epochs=1", *changes]


def test_streams_share_the_image_network(acted60, tmp_path):
    changes = [*(s for s in JOINT if not s.startswith(("epochs", "batch"))), "epochs=1", "batch_size=24"]
    run = fit(acted60, tmp_path / "run", [*changes, "streams=joint,bone"])
    assert {"alignment/joint", "alignment/bone", "refined/bone"} <= set(run.metrics()[0])


def test_killed_and_resumed_equals_uninterrupted(acted60, tmp_path):
    """The image network and both teachers' parts are resumed too: SIGKILL in the middle of an epoch."""
    options = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "num_hidden_layers": 1}
    config = transformers.ViTConfig(**options, image_size=32, patch_size=16)
    transformers.ViTModel(config, add_pooling_layer=False).save_pretrained(tmp_path / "vit")
    network = f"image_network=transformers:{tmp_path / 'vit'}"
    changes = [*(s for s in SMALL if not s.startswith("epochs")), "epochs=2", "rgb=joint", network]
    whole, out = fit(acted60, tmp_path / "whole", changes), tmp_path / "run"
    code = (
        "import os, signal, torch\n"
        "torch.set_num_threads(1)\n"
        "from kinelex.methods import MMCL\n"
        "from kinelex.training.train import train\n"
        "forward, calls = MMCL.forward, [0]\n"
        "def counted(self, *a):\n"
        "    calls[0] += 1\n"
        "    if calls[0] == 5: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return forward(self, *a)\n"
        "MMCL.forward = counted\n"
        f"train('mmcl', {str(acted60[0])!r}, 'xsub', {str(out)!r}, {str(acted60[1])!r},"
        f" overrides={[*changes, 'checkpoint_every=1']!r})\n"
    )
    ended = run_python(code)
    assert ended.returncode == -signal.SIGKILL, ended.stderr[-2000:]
    run = train("mmcl", acted60[0], "xsub", out, resume=True, console=Console(file=io.StringIO()))
    states = [torch.load(r.checkpoint, weights_only=True)["state_dict"] for r in (whole, run)]
    assert any(k.startswith("method.image_network") for k in states[0])
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def test_what_is_missing_is_said_before_anything_is_written(acted60, small, tmp_path):
    other = (small[0], small[1])  # prompts of words alone
    for store, changes, prompts, message in (
        (acted60, SMALL, False, "mmcl needs prompts: pass --prompts"),
        (other, SMALL, True, "none of vision: make them with"),
        (other, JOINT, True, "keeps no tile of its pictures: make it with --keep tile"),
        (acted60, [*SMALL, "modalities=language"], True, "leave out training.modalities"),
        (acted60, [*SMALL, "rgb=cashed"], True, "did you mean 'cached'"),
        (acted60, [*JOINT, "image_network=resnet"], True, "expects image_network to be efficientnet_lite0"),
        (acted60, [*JOINT, "image_weights=nowhere.pt"], True, "there is no file nowhere.pt"),
        (acted60, [*SMALL, "batch_size=1"], True, "batch_size of 2 or more"),
    ):
        with pytest.raises(InputError, match=message):
            fit(store, tmp_path / "run", changes, prompts)
    assert not list(tmp_path.iterdir())
    fit(other, tmp_path / "words", _once(["alignment=0"]))
    fit(acted60, tmp_path / "alone", _once(["alignment=0", "refinement=0"]), prompts=False)


@pytest.mark.parametrize("end", [False, True])
def test_damaged_pictures_are_told_before_the_training(acted60, tmp_path, end):
    store, prompts = open_store(acted60[0]), open_prompts(acted60[1])
    train_part, test_part = get_split(store, "xsub").train, get_split(store, "xsub").test
    content, damaged = acted60[1].read_bytes(), []
    for rows in (train_part, test_part):
        row = next(int(row) for row in rows[1:] if row != WITHOUT)
        tile = prompts.tile(row)
        broken = tile[:-2] + b"xx" if end else b"nothing" + tile[7:]
        assert content.count(tile) == 1
        content = content.replace(tile, broken)
        damaged.append(store.ids[row])
    (tmp_path / "prompts.arrow").write_bytes(content)
    said = "its end is missing" if end else "it does not begin as one"
    message = rf"has 1 damaged tiles .* that of {damaged[0]} \({said}\): make the prompts again"
    with pytest.raises(InputError, match=message):
        fit((acted60[0], tmp_path / "prompts.arrow"), tmp_path / "run", JOINT)
    assert not (tmp_path / "run").exists()
    fit((acted60[0], tmp_path / "prompts.arrow"), tmp_path / "run", _once([]))  # opens no picture
