"""The reader of MSR Action3D: generated clips, bad ones, its protocols, and the real set."""

from pathlib import Path

import numpy as np
import pytest

from kinelex.data import open_store
from kinelex.datasets import get_split, prepare, protocol_names
from kinelex.datasets.msr_action3d import CLASSES, read_clip
from kinelex.errors import InputError
from kinelex.skeleton import get_layout

FRAMES = np.random.default_rng(0).uniform(0.1, 2, size=(3, 20, 4)).round(6)


def text_of(frames: np.ndarray) -> str:
    return "".join(" ".join(f"{n:.6f}" for n in line) + "\n" for line in frames.reshape(-1, 4))


def write(folder: Path, name: str, content: str | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}_skeleton3D.txt"
    path.write_text(text_of(FRAMES) if content is None else content)
    return path


def test_a_clip_keeps_its_coordinates(tmp_path: Path) -> None:
    clip = read_clip(write(tmp_path, "a20_s10_e03"))
    assert (clip.id, clip.label, clip.subject, clip.replication) == ("a20_s10_e03", 19, 10, 3)
    np.testing.assert_array_equal(clip.coordinates[:, 0], FRAMES[..., :3].astype(np.float32))
    assert (clip.coordinates.dtype, clip.fps) == (np.float32, 15.0)


def test_joints_not_seen_are_zeros_and_inferred_ones_stay(tmp_path: Path) -> None:
    frames = FRAMES.copy()
    frames[1] = 0  # nobody
    frames[2, 4] = 0  # one joint not seen
    frames[2, 2, 3] = 0  # a joint that was inferred
    clip = read_clip(write(tmp_path, "a01_s01_e01", text_of(frames)))
    there = clip.coordinates.any(axis=-1)[:, 0]
    assert there[0].all()
    assert not there[1].any()
    assert there[2].tolist() == [joint != 4 for joint in range(20)]


LINES = text_of(FRAMES).splitlines(keepends=True)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a21_s01_e01", None, "the name has action 21, expects 1 to 20"),
        ("a01_s01", None, "the name does not parse, expects aAA_sSS_eEE_skeleton3D.txt"),
        ("a01_s01_e01", "", "the file is empty"),
        ("a01_s01_e01", "".join(LINES[:-1]), "has 59 lines, expects 20 per frame"),
        ("a01_s01_e01", "".join(LINES)[:-1], "line 60: has no end of line; the file is truncated"),
        ("a01_s01_e01", LINES[0] + "1 2 3\n", "line 2: expects 4 numbers, got 3"),
        ("a01_s01_e01", LINES[0] + "1 nan 3 1\n", "line 2: field 2 is 'nan', expects a number"),
    ],
)
def test_bad_clips_name_file_and_line(name: str, content: str | None, reason: str, tmp_path: Path) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(InputError, match=reason) as error:
        read_clip(path)
    assert str(error.value).startswith(f"{path}: ")


def test_protocols_go_by_subject_class_and_recording(tmp_path: Path) -> None:
    for name in ("a01_s01_e01", "a02_s02_e01", "a02_s01_e01", "a20_s02_e01", "a20_s02_e04"):
        write(tmp_path / "raw", name)
    (tmp_path / "raw" / "a01_s01_e01_skeleton.txt").write_text("of the other release")
    store = open_store(prepare("msr_action3d", tmp_path / "raw", tmp_path / "s.arrow", progress=False).store)
    assert protocol_names(store) == ("xsub", "xsub557", "as1", "as2", "as3")
    assert store.ids == ["a01_s01_e01", "a02_s01_e01", "a02_s02_e01", "a20_s02_e01", "a20_s02_e04"]
    assert [get_split(store, "xsub").train.tolist(), get_split(store, "xsub").test.tolist()] == [
        [0, 1],
        [2, 3, 4],
    ]
    assert get_split(store, "xsub557").test.tolist() == [2, 4]
    assert [get_split(store, "as1").train.tolist(), get_split(store, "as1").test.tolist()] == [[1], [2, 3, 4]]


@pytest.fixture(scope="module")
def real(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("msr") / "s.arrow"
    return prepare("msr_action3d", shared / "data" / "msr_action3d", out, progress=False).store


def test_the_real_set(real: Path) -> None:
    store = open_store(real)
    assert len(store) == 566  # one of the 567 files has nobody in it
    assert real.with_name("skipped.csv").read_text().count("no frame has a body") == 1
    assert store.class_names == CLASSES
    assert (store.lengths.min(), store.lengths.max(), store.lengths.sum()) == (13, 936, 23440)
    sizes = {
        name: tuple(map(len, (s.train, s.test)))
        for name in protocol_names(store)
        if (s := get_split(store, name))
    }
    assert sizes == {
        "xsub": (291, 275),
        "xsub557": (291, 266),
        "as1": (119, 106),
        "as2": (118, 113),
        "as3": (114, 112),
    }


def test_real_bodies_are_upright_and_of_a_body_s_length(real: Path) -> None:
    store, layout = open_store(real), get_layout("msr20")
    x = np.concatenate([store.sequence(i)[:, 0] for i in range(len(store))])
    x = x[x.any(axis=-1).all(axis=-1)]
    mean = x.mean(axis=0)
    assert mean[layout.index("head"), 1] > mean[layout.index("neck"), 1] > mean[layout.index("pelvis"), 1]
    assert mean[layout.index("left_knee"), 1] > mean[layout.index("left_foot"), 1]
    shin = np.linalg.norm(x[:, layout.index("left_knee")] - x[:, layout.index("left_ankle")], axis=-1)
    assert 0.35 < np.median(shin) < 0.5  # metres
