"""The readers of NTU RGB+D: from files to stores, names, what is left out, and videos."""

import re
from pathlib import Path

import numpy as np
import pytest
from ntu_files import Track, frames_of, ghost, person, write

from kinelex.data import SkeletonStore, open_store
from kinelex.datasets import prepare
from kinelex.datasets.ntu import NtuReader120, missing_skeletons, rgb_file
from kinelex.datasets.reader import class_names
from kinelex.errors import InputError
from kinelex.skeleton import get_layout

NAMES = ("S001C002P003R002A013", "S017C001P040R001A060", "S032C003P106R002A120")
MISSING = "S001C002P005R002A008"


@pytest.fixture
def tracks() -> list[Track]:
    """A person, another one from frame 20 on, a ghost, a short track; 45 frames, 10 of them empty."""
    rng = np.random.default_rng(2)
    first = person(rng, [*range(5, 20), *range(22, 40)], motion=0.3)
    return [first, person(rng, range(20, 40), motion=0.01), ghost(rng, range(5, 30)), person(rng, [7, 8])]


@pytest.fixture
def raw(tracks: list[Track], tmp_path: Path) -> Path:
    """A folder with three clips, and one that the authors list as missing."""
    folder = tmp_path / "nturgb+d"
    for name, inner in zip((*NAMES, MISSING), ("skeletons", "skeletons", "skeletons120", "."), strict=True):
        write(folder / inner, name, frames_of(tracks, 45))
    return folder


def made(dataset: str, folder: Path, **options: str) -> SkeletonStore:
    """The store of a folder."""
    out = folder.parent / f"{dataset}.arrow"
    return open_store(prepare(dataset, folder, out, strict=True, progress=False, **options).store)


def test_ntu120_takes_both_releases(raw, tracks):
    store = made("ntu120", raw)
    assert store.ids == list(NAMES)
    assert store.labels.tolist() == [12, 59, 119]
    assert store.setups.tolist() == [1, 17, 32]
    assert store.cameras.tolist() == [2, 1, 3]
    assert store.subjects.tolist() == [3, 40, 106]
    assert store.replications.tolist() == [2, 1, 2]
    assert store.layout == get_layout("ntu25")
    assert store.meta.units == "metres"
    assert store.meta.prepared == {"reader": "ntu120", "denoise": "tracks", "left_out_as_missing": 1}
    assert (store.image_size(0), len(store.class_names)) == ((1080, 1920), 120)


def test_both_persons_keep_their_joints_and_pixels(raw, tracks):
    store = made("ntu60", raw)
    x, pixels = store.sequence(0), store.image_coordinates(0)
    assert x.shape == (35, 2, 25, 3)
    expected = np.zeros((45, 2, 25, 12))
    for m, track in enumerate(tracks[:2]):
        expected[track.frames, m] = track.values
    expected = expected[5:40].astype(np.float32)
    np.testing.assert_array_equal(x, expected[..., :3])
    np.testing.assert_array_equal(pixels, expected[..., 5:7])


def test_ntu60_passes_over_what_came_with_ntu120(raw):
    store = made("ntu60", raw)
    assert store.ids == list(NAMES[:2])
    assert len(store.class_names) == 60


def test_denoise_energy_keeps_places_and_empty_frames(raw):
    store = made("ntu60", raw, denoise="energy")
    assert store.meta.prepared["denoise"] == "energy"
    assert store.sequence(0).shape == (45, 2, 25, 3)
    with pytest.raises(InputError, match="unknown denoise 'track': did you mean 'tracks'"):
        prepare("ntu60", raw, raw.parent / "s.arrow", denoise="track")


@pytest.mark.parametrize(
    ("dataset", "name", "reason"),
    [
        (
            "ntu60",
            "S001C002P003R002A013_copy",
            "the name does not parse, expects SsssCcccPpppRrrrAaaa.skeleton",
        ),
        ("ntu60", "S1C2P3R2A13", "the name does not parse"),
        ("ntu60", "S000C002P003R002A013", "the name has setup 0, ntu60 has 1 to 17"),
        ("ntu60", "S033C002P003R002A013", "the name has setup 33, ntu60 has 1 to 17"),
        ("ntu120", "S033C002P003R002A013", "the name has setup 33, ntu120 has 1 to 32"),
        ("ntu60", "S001C004P003R002A013", "the name has camera 4, ntu60 has 1 to 3"),
        ("ntu60", "S001C001P041R002A013", "the name has performer 41, ntu60 has 1 to 40"),
        ("ntu120", "S001C001P107R002A013", "the name has performer 107, ntu120 has 1 to 106"),
        ("ntu60", "S001C001P001R003A013", "the name has replication 3, ntu60 has 1 to 2"),
        ("ntu60", "S001C001P001R001A061", "the name has action 61, ntu60 has 1 to 60"),
        ("ntu120", "S001C001P001R001A121", "the name has action 121, ntu120 has 1 to 120"),
    ],
)
def test_names_that_are_none(raw, tracks, skipped_rows, dataset, name, reason):
    bad = write(raw, name, frames_of(tracks, 45))
    out = raw.parent / "s.arrow"
    assert prepare(dataset, raw, out, progress=False).skipped == 1
    (row,) = skipped_rows(out)
    assert row["file"] == str(bad)
    assert row["reason"].startswith(reason)


def test_bad_files_are_skipped_and_named(raw, skipped_rows):
    good = (raw / "skeletons" / f"{NAMES[0]}.skeleton").read_bytes()
    (raw / "S001C001P001R001A001.skeleton").write_bytes(good[:-50])
    (raw / "S001C001P001R001A002.skeleton").write_bytes(b"")
    (raw / "S001C001P001R001A003.skeleton").write_bytes(b"3\n0\n0\n0\n")
    (raw / "S001C001P001R001A004.skeleton").write_bytes(good.replace(b" 2\r\n25\r\n", b" 2\r\n20\r\n"))
    (raw / "copy").mkdir()
    (raw / "copy" / f"{NAMES[0]}.skeleton").write_bytes(good)
    out = raw.parent / "s.arrow"
    summary = prepare("ntu60", raw, out, progress=False)
    assert (summary.written, summary.skipped) == (2, 5)
    reasons = {Path(row["file"]).stem: row["reason"] for row in skipped_rows(out)}
    assert re.match(r"line \d+: expects .* \(the file is truncated\)", reasons["S001C001P001R001A001"])
    assert reasons["S001C001P001R001A002"].startswith("line 1: expects the number of frames")
    assert reasons["S001C001P001R001A003"] == "no frame has a body"
    assert reasons["S001C001P001R001A004"] == "line 9: expects the number of joints, 25, got '20'"
    assert NAMES[0] in reasons


def test_a_folder_of_missing_clips_only(tracks, tmp_path):
    write(tmp_path / "raw", MISSING, frames_of(tracks, 45))
    with pytest.raises(InputError, match="holds no clip: expects a folder with the files SsssCcccPppp"):
        prepare("ntu120", tmp_path / "raw", tmp_path / "s.arrow", progress=False)


def test_links_are_followed_and_circles_end(raw, tmp_path):
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "ntu").symlink_to(raw)
    (raw / "circle").symlink_to(raw)
    assert len(NtuReader120(tmp_path / "all").items()) == 3


def test_the_authors_list(shared):
    listed = (shared / "data" / "ntu" / "missing_skeletons.txt").read_text().split()
    assert sorted(missing_skeletons()) == sorted(listed)


def test_what_is_missing_by_release():
    assert len(missing_skeletons()) == 535
    assert sum(name < "S018" for name in missing_skeletons()) == 302
    assert all(re.fullmatch(r"S\d{3}C00[123]P\d{3}R00[12]A\d{3}", name) for name in missing_skeletons())
    assert all((name < "S018") == (int(name[-3:]) <= 60) for name in missing_skeletons())


def test_actions():
    assert len(set(class_names("ntu120"))) == 120
    assert class_names("ntu120")[42] == "falling"
    assert class_names("ntu120")[49] == "punching/slapping other person"
    assert class_names("ntu120")[105] == "hit other person with something"


def test_videos_are_found_by_name(raw, tmp_path):
    videos = tmp_path / "rgb"
    for name, part in ((NAMES[0], "s001"), (NAMES[1], "s017")):
        (videos / part).mkdir(parents=True)
        (videos / part / f"{name}_rgb.avi").touch()
    assert rgb_file(videos, NAMES[1]) == videos / "s017" / f"{NAMES[1]}_rgb.avi"
    with pytest.raises(InputError, match=f"rgb has no video {NAMES[2]}_rgb.avi"):
        rgb_file(videos, NAMES[2])
    with pytest.raises(InputError, match="nowhere is no folder: expects the one with the videos"):
        rgb_file(tmp_path / "nowhere", NAMES[0])
    (raw / f"{NAMES[0]}_rgb.avi").touch()
    assert rgb_file(made("ntu60", raw), NAMES[0]) == raw / f"{NAMES[0]}_rgb.avi"


def test_two_videos_of_one_name(tmp_path):
    for part in "ab":
        (tmp_path / part).mkdir()
        (tmp_path / part / f"{NAMES[0]}_rgb.avi").touch()
    with pytest.raises(InputError, match=r"has 2 videos S001C002P003R002A013_rgb.avi: .*: keep one"):
        rgb_file(tmp_path, NAMES[0])
