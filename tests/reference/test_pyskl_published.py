"""PYSKL's ST-GCN++ and AAGCN through converted checkpoints, and its preparation of clips."""

from pathlib import Path

import numpy as np
import pytest
import torch

from kinelex import encoders, load_encoder
from kinelex.cli import main
from kinelex.data import Sequence
from kinelex.data.named_clips import NamedClips
from kinelex.data.scored_clips import in_picture
from kinelex.errors import InputError
from kinelex.inference.features import extract_features
from kinelex.skeleton import get_layout
from kinelex.training.convert import convert
from kinelex.transforms import pyskl_normalise_3d, pyskl_test_frames

FILES = {
    "pyskl_stgcnpp": ("stgcnpp", "ntu25", 1),
    "pyskl_stgcnpp_coco": ("stgcnpp", "coco17", 1),
    "pyskl_aagcn": ("aagcn", "ntu25", 2),
}


@pytest.mark.parametrize("name", FILES)
def test_a_checkpoint_computes_pyskls_values(shared, tmp_path, name):
    encoder, layout, norms = FILES[name]
    with np.load(shared / "reference" / f"{name}.npz") as z:
        state = {k.removeprefix("state/"): torch.from_numpy(z[k]) for k in z.files if k.startswith("state/")}
        x, features, logits = (torch.from_numpy(z[key]) for key in ("x", "features", "logits"))
    torch.save({"state_dict": state}, tmp_path / "epoch_16.pth")
    run = convert(tmp_path / "epoch_16.pth", encoder, tmp_path / "run", layout)
    sizes = {"in_channels": 3, "channels": 64, "depth": [4, 3, 3], "person_norms": norms}
    assert run.config["encoder"] == {"name": encoder, **sizes}
    assert run.config["input"]["persons"] == 2
    loaded = load_encoder(run.path)
    with torch.inference_mode():
        found = loaded(x.permute(0, 4, 2, 3, 1))  # theirs is (N, M, T, V, C)
        scores = loaded.classifier(found)
    assert (found - features).abs().max() < 1e-4 * features.abs().max()
    assert (scores - logits).abs().max() < 1e-4 * logits.abs().max()
    other = "aagcn" if encoder == "stgcnpp" else "stgcnpp"
    with pytest.raises(InputError, match="weights do not fit together"):
        convert(tmp_path / "epoch_16.pth", other, tmp_path / "other", layout)


@pytest.mark.parametrize("i", range(3))
def test_clips_are_prepared_as_pyskl_does(shared, i):
    z = np.load(shared / "reference" / "pyskl_input.npz")
    clip = pyskl_normalise_3d(z[f"x3d_{i}"], get_layout("ntu25"))
    np.testing.assert_allclose(clip, z[f"normalised3d_{i}"], rtol=0, atol=1e-5)
    frames = pyskl_test_frames(clip.shape[1])
    np.testing.assert_array_equal(frames.ravel(), z[f"frames_{i}"])
    flat = z[f"x2d_{i}"]
    found = in_picture(flat, np.ones(flat.shape[:3]), (1080, 1920))
    np.testing.assert_array_equal(found, z[f"normalised2d_{i}"])


def plain_features(encoder, prepared, frames):
    """The mean over ten draws of an encoder's features of a prepared clip (M, T, V, C)."""
    x = torch.from_numpy(prepared).float().permute(3, 1, 2, 0)[None]  # (1, C, T, V, M)
    with torch.inference_mode():
        return torch.cat([encoder(x[:, :, torch.from_numpy(chosen)]) for chosen in frames]).mean(0)


@pytest.mark.parametrize("i", range(3))
def test_a_converted_run_prepares_clips_as_pyskl_does(shared, tmp_path, i):
    loaded = load_encoder(small_checkpoint(tmp_path, "ntu25", 60).path)
    clip = np.load(shared / "reference" / "pyskl_input.npz")[f"x3d_{i}"]
    prepared = pyskl_normalise_3d(clip, get_layout("ntu25"))
    prepared = np.concatenate([prepared, np.zeros_like(prepared[: 2 - len(prepared)])])
    expected = plain_features(loaded.encoder, prepared, pyskl_test_frames(prepared.shape[1]))
    other = np.random.default_rng(0).normal(size=(7, 1, 25, 3)).astype(np.float32)
    clips = NamedClips(
        [Sequence("other", other), Sequence("a", clip.transpose(1, 0, 2, 3).astype(np.float32))],
        loaded.layout,
    )
    found = extract_features(loaded, clips, np.array([0, 1]))[1]
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * float(expected.abs().max()))


def test_a_converted_run_reads_pixels_and_scores(tmp_path):
    run = small_checkpoint(tmp_path, "coco17", 12)
    loaded, rng = load_encoder(run.path), np.random.default_rng(0)
    pixels, scores = (
        rng.uniform(1, 400, (40, 2, 17, 2)).astype(np.float32),
        rng.random((40, 2, 17), np.float32),
    )
    scores[:5] = 0.005
    prepared = in_picture(pixels, scores, (400, 600)).transpose(1, 0, 2, 3)
    expected = plain_features(loaded.encoder, prepared, pyskl_test_frames(40))
    layout = get_layout("coco17")
    flat = Sequence("flat", pixels, scores=scores, image_size=(400, 600))
    space = rng.normal(size=(40, 2, 17, 3)).astype(np.float32)
    beside = Sequence("space", space, scores=scores, image_size=(400, 600), image_coordinates=pixels)
    for clip in (flat, beside):
        found = extract_features(loaded, NamedClips([clip], layout), np.array([0]))[0]
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * float(expected.abs().max()))
    with pytest.raises(InputError, match="reads poses in pictures, flat .* lacks the size of its picture"):
        extract_features(loaded, NamedClips([Sequence("flat", pixels)], layout), np.array([0]))
    assert run.config["input"]["scores"]


def small_checkpoint(folder, layout, classes):
    """A run converted from a small ST-GCN++ with random weights under PYSKL's names."""
    torch.manual_seed(0)
    encoder = encoders.create("stgcnpp", layout, channels=8, depth=(1, 1, 1), person_norms=1)
    state = {f"backbone.{name}": value for name, value in encoder.state_dict().items()}
    last = torch.nn.Linear(encoder.num_features, classes).state_dict()
    torch.save({f"cls_head.fc_cls.{k}": v for k, v in last.items()} | state, folder / "small.pth")
    return convert(folder / "small.pth", "stgcnpp", folder / "small", layout)


def test_a_converted_run_knows_the_actions_of_ntu(tmp_path):
    run = small_checkpoint(tmp_path, "ntu25", 60)
    np.save(tmp_path / "clip.npy", np.random.default_rng(0).normal(size=(30, 1, 25, 3)))
    assert (
        main(
            [
                "predict",
                str(run.path),
                str(tmp_path / "clip.npy"),
                "--units",
                "metres",
                "--top",
                "60",
                "--json",
                str(tmp_path / "a.json"),
            ]
        )
        == 0
    )
    assert "walking apart from each other" in (tmp_path / "a.json").read_text()
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    assert main(["export", str(run.path), "--out", str(tmp_path / "a.onnx")]) == 2  # ten draws have no graph


def test_every_reference_file_is_used(shared):
    """By its name, in a test that is not this one."""
    tests = "\n".join(p.read_text(encoding="utf-8") for p in Path(__file__).parents[1].rglob("test_*.py"))
    files = sorted(p.stem for p in (shared / "reference").glob("*.npz"))
    assert len(files) >= 16
    unused = [name for name in files if f'"{name}"' not in tests and f"{name}.npz" not in tests]
    assert not unused
