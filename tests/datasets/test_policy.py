"""What all readers do alike: absent joints and persons, lost frames, rates; against plain loops."""

from pathlib import Path

import numpy as np
import pytest
from folder_files import clip, folder

from kinelex.data import Sequence, open_store
from kinelex.datasets import prepare
from kinelex.datasets.policy import GAPS, Policy
from kinelex.errors import InputError


def lossy() -> np.ndarray:
    """7 frames of 2 persons, the second never there; frames 0, 2, 3 and 6 are lost."""
    x = np.zeros((7, 2, 3, 3), np.float32)
    x[[1, 4, 5], 0] = clip(0)[:, 0] + 2
    x[4, 0, 2] = 0  # a joint that is not seen where a gap ends
    return x


def test_lost_frames_are_on_straight_lines_between_their_neighbours() -> None:
    x = lossy()
    found = Policy("interpolate").apply(Sequence("a", x))
    expected = x[1:6, :1].copy()
    for frame, share in ((1, 1 / 3), (2, 2 / 3)):
        for joint in (0, 1):
            expected[frame, 0, joint] = x[1, 0, joint] + share * (x[4, 0, joint] - x[1, 0, joint])
    np.testing.assert_allclose(found.coordinates, expected, rtol=1e-6)
    assert found.changes == {"interpolate": 2, "ends": 2}


def test_the_other_ways_with_lost_frames() -> None:
    x = lossy()
    found = Policy("drop").apply(Sequence("a", x, scores=x.any(axis=3).astype(float)))
    np.testing.assert_array_equal(found.coordinates, x[[1, 4, 5], :1])
    assert found.scores.shape == (3, 1, 3)
    for gaps in (None, "keep"):
        np.testing.assert_array_equal(Policy(gaps).apply(Sequence("a", x)).coordinates, x[:, :1])
    with pytest.raises(InputError, match="a: frame 2 is lost"):
        Policy("refuse").apply(Sequence("a", x))
    x[[1, 4]] = 0
    x[0] = 1
    with pytest.raises(InputError, match="4 frames are lost and 2 are there"):
        Policy("interpolate").apply(Sequence("a", x))


@pytest.mark.parametrize("gaps", GAPS)
def test_what_is_no_number_is_absent(gaps: str) -> None:
    x = clip(0, frames=4) + 2
    x[1, 0, 1, 2] = np.nan
    if gaps == "refuse":
        with pytest.raises(InputError, match="frame 1 are not numbers"):
            Policy(gaps).apply(Sequence("a", x))
        return
    found = Policy(gaps).apply(Sequence("a", x, scores=np.full((4, 1, 3), 0.5)))
    assert not found.coordinates[1, 0, 1].any()
    assert found.scores[1].tolist() == [[0.5, 0, 0.5]]
    assert found.changes == {"missing": 1}


def test_joints_of_confidence_0_are_absent() -> None:
    scores = np.ones((3, 1, 3))
    scores[1, 0, 2] = 0
    found = Policy().apply(Sequence("a", clip() + 2, scores=scores))
    assert found.coordinates.any(axis=3).tolist() == (scores > 0).tolist()
    assert found.changes == {"scores": 1}


def test_the_first_person_there_takes_the_first_place_and_too_many_are_left_out() -> None:
    x = np.zeros((4, 4, 3, 3), np.float32)
    x[:2, 1], x[:, 3], x[3:, 2] = 1, 2, 3
    assert Policy().apply(Sequence("a", x)).coordinates[3, :, 0, 0].tolist() == [0, 3, 2]
    found = Policy(persons=2).apply(Sequence("a", x))
    assert found.coordinates[0, :, 0, 0].tolist() == [1, 2]
    assert found.changes == {"persons": 1}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"gaps": "fill"}, "unknown --gaps 'fill'. Known: drop, interpolate, keep, refuse"),
        ({"persons": 0}, "--persons 0: expects at least 1 person"),
        ({"fps": -1.0}, "--fps -1.0: expects a positive number"),
        ({"name": " "}, "--name is empty"),
    ],
)
def test_wrong_options(options: dict, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        Policy(**options)


def test_every_reader_takes_them_and_says_what_it_did(tmp_path: Path) -> None:
    x = clip(0, frames=5) + 2
    x[2] = 0
    source = folder(tmp_path / "raw", "file\na.npy\n", {"a.npy": x})
    summary = prepare("folder", source, tmp_path / "s.arrow", progress=False, name="mine", fps=25.0)
    assert summary.notes == ("lost frames interpolated (--gaps): 1 in 1 clip",)
    store = open_store(tmp_path / "s.arrow")
    assert (store.meta.dataset, store.fps.tolist(), store.lengths.tolist()) == ("mine", [25], [5])
    np.testing.assert_allclose(store.sequence(0)[2], (x[1] + x[3]) / 2, rtol=1e-6)
    with pytest.raises(InputError, match="frame 2 is lost"):
        prepare("folder", source, tmp_path / "s.arrow", progress=False, gaps="refuse")
