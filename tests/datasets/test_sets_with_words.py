"""Text2Action and Bandai-Namco: sets whose clips come with words; generated files of their shape."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from kinelex.data import open_prompts, open_store
from kinelex.datasets import get_split, prepare
from kinelex.datasets.text2action import positions
from kinelex.errors import InputError
from kinelex.prompts import make_prompts

RNG = np.random.default_rng(0)


def text2action(folder: Path, number: int, sentences: list[str], length: float = 1.0) -> None:
    numbers = RNG.normal(size=(8, 3, 32))
    numbers[1:] *= length / np.linalg.norm(numbers[1:], axis=1, keepdims=True)
    for part in ("pose", "script"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    savemat(folder / "pose" / f"data_{number:04}.mat", {"pred_vector": numbers.reshape(24, 32)})
    if sentences:
        (folder / "script" / f"script_{number:04}.txt").write_text("\n".join(sentences) + "\n")


def test_text2action(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for number in range(30):
        text2action(raw, number, [f"a man does thing {number // 3}", "somebody moves"][: 2 - number % 2])
    text2action(raw, 40, [])
    text2action(raw, 41, ["too long"], length=2.0)
    summary = prepare("text2action", raw, tmp_path / "t.arrow", progress=False)
    store = open_store(summary.store)
    assert (len(store), summary.skipped) == (30, 2)
    reasons = store.path.with_name("skipped.csv").read_text()
    assert "its sentences are not there" in reasons
    assert "expects directions of length 1" in reasons
    assert store.captions[0] == "a man does thing 0\nsomebody moves"
    x = store.sequence(3)[:, 0]
    elbow, shoulder = (store.layout.index(f"left_{joint}") for joint in ("elbow", "shoulder"))
    np.testing.assert_allclose(np.linalg.norm(x[:, elbow] - x[:, shoulder], axis=1), 0.29, rtol=1e-5)
    split = get_split(store, "captions")
    assert not set(store.subjects[split.train]) & set(store.subjects[split.test])
    groups = {}
    for subject, caption in zip(store.subjects, store.captions, strict=True):
        assert groups.setdefault(subject, set(caption.splitlines())) == set(caption.splitlines())


def test_directions_start_where_they_should() -> None:
    numbers = np.zeros((8, 3, 1))
    numbers[7, 0] = 1  # the left forearm points forward
    places = positions(numbers)[0]
    assert places[7].tolist() == [0.25, 0, 0]
    assert not places[:7].any()


BVH = """HIERARCHY
ROOT joint_Root
{{
  OFFSET 0 0 0
  CHANNELS 3 Xposition Yposition Zposition
{body}
}}
MOTION
Frames: 3
Frame Time: 0.033333
{motion}
"""
TREE = {
    "Hips": {
        "Spine": {"Chest": {
            "Neck": {"Head": {}},
            **{f"Shoulder_{s}": {f"UpperArm_{s}": {f"LowerArm_{s}": {f"Hand_{s}": {}}}} for s in "LR"},
        }},
        **{f"UpperLeg_{s}": {f"LowerLeg_{s}": {f"Foot_{s}": {f"Toes_{s}": {}}}} for s in "LR"},
    }
}  # fmt: skip


def joints(tree: dict) -> str:
    return "".join(
        f"JOINT {name} {{ OFFSET 10 20 30 CHANNELS 1 Zrotation {joints(below)} "
        + ("" if below else "End Site { OFFSET 1 1 1 } ") + "}\n"
        for name, below in tree.items()
    )  # fmt: skip


def test_bandai_namco(tmp_path: Path) -> None:
    raw, body = tmp_path / "raw" / "data", joints(TREE)
    raw.mkdir(parents=True)
    motion = "\n".join(" ".join(["0"] * (3 + body.count("JOINT"))) for _ in range(3))
    for name in ("bow_childish_001", "walk-left_normal_002", "fly_sad_001"):
        (raw / f"dataset-1_{name}.bvh").write_text(BVH.format(body=body, motion=motion))
    (raw / "dataset-1_run_sad_001.bvh").write_text(
        BVH.format(body=joints({"Hips": {}}), motion="0 0 0 0\n" * 2 + "0 0 0 0")
    )
    summary = prepare("bandai_namco", tmp_path / "raw", tmp_path / "b.arrow", progress=False)
    store = open_store(summary.store)
    assert store.captions == ["A person bows like a child.", "A person walks to the left."]
    assert [store.class_names[label] for label in store.labels] == ["bow", "walk left"]
    assert store.fps.tolist() == [30.0, 30.0]
    np.testing.assert_allclose(
        store.sequence(0)[0, 0, 0], [0.1, 0.2, 0.3], rtol=1e-6
    )  # centimetres in the file
    reasons = store.path.with_name("skipped.csv").read_text()
    assert "unknown content" in reasons
    assert "the hierarchy lacks" in reasons


def test_captions_are_prompts(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for number in range(4):
        text2action(raw, number, [f"a man jumps {number}", "somebody moves"])
    store = prepare("text2action", raw, tmp_path / "t.arrow", progress=False).store
    make_prompts(store, tmp_path / "p.arrow", language="captions", vision=None, progress=False)
    assert open_prompts(tmp_path / "p.arrow").clip("data_0001").language.texts == [
        "a man jumps 1",
        "somebody moves",
    ]
    folder = tmp_path / "bare"
    (folder / "wave").mkdir(parents=True)
    np.save(folder / "wave" / "a.npy", np.ones((9, 1, 25, 3)))
    bare = prepare("folder", folder, tmp_path / "bare.arrow", progress=False, layout="ntu25").store
    with pytest.raises(InputError, match="has a caption"):
        make_prompts(bare, tmp_path / "q.arrow", language="captions", vision=None, progress=False)
