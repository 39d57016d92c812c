"""PYSKL's ST-GCN++ and AAGCN through converted checkpoints, and its preparation of clips."""

from pathlib import Path

import numpy as np
import pytest
import torch

from kinelex import load_encoder
from kinelex.errors import InputError
from kinelex.skeleton import get_layout
from kinelex.training.convert import convert
from kinelex.transforms import pyskl_normalise_2d, pyskl_normalise_3d, pyskl_test_frames

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
    assert (run.config["input"]["frames"], run.config["input"]["persons"]) == (100, 2)
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
    found = pyskl_normalise_2d(flat, np.ones(flat.shape[:3]), (1080, 1920))
    np.testing.assert_array_equal(found, z[f"normalised2d_{i}"])


def test_every_reference_file_is_used(shared):
    """By its name, in a test that is not this one."""
    tests = "\n".join(p.read_text(encoding="utf-8") for p in Path(__file__).parents[1].rglob("test_*.py"))
    files = sorted(p.stem for p in (shared / "reference").glob("*.npz"))
    assert len(files) >= 16
    unused = [name for name in files if f'"{name}"' not in tests and f"{name}.npz" not in tests]
    assert not unused
