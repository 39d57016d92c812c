"""Counting: generated exercises of varying tempo, what is no exercise, and the verb."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from kinelex.cli import main
from kinelex.inference.repetitions import find_repetitions, lag_distances, posture_path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from count import exercise  # noqa: E402 - it is no package


def phases(times, fps, rng):
    """Of repetitions that take each another time, with pauses of up to half a second."""
    still = [np.zeros(rng.integers(0, fps // 2)) for _ in times]
    parts = [np.linspace(0, 2 * np.pi, round(seconds * fps), endpoint=False) for seconds in times]
    return np.concatenate(
        [np.zeros(fps), *(part for pair in zip(parts, still, strict=True) for part in pair)]
    )


@pytest.mark.parametrize("fps", [15, 30, 60])
@pytest.mark.parametrize("coordinates", [2, 3])
def test_each_repetition_is_found_at_its_time_whatever_the_tempo(fps, coordinates):
    exact = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        times = rng.uniform(0.8, 2.0, size=rng.integers(3, 12))
        x = exercise(phases(times, fps, rng), rng, 0.02)[..., :coordinates]
        x[rng.random(x.shape[:2]) < 0.05] = 0  # joints that were not seen
        found = find_repetitions(posture_path(x), fps)
        assert abs(len(found) - len(times)) <= 1
        exact.append(len(found) == len(times))
        for one, after in zip(found, found[1:], strict=False):
            assert one.end <= after.start + 1
        if exact[-1]:
            spans = np.array([(one.end - one.start) / fps for one in found])
            assert np.abs(spans - times).max() < 0.7  # pauses belong to the one before or after
    assert np.mean(exact) >= 0.8


def test_what_is_done_once_or_never_the_same_or_not_at_all_is_no_repetition():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        wandering = gaussian_filter1d(rng.normal(size=(300, 12, 3)), 12, axis=0) + rng.normal(size=(12, 3))
        once = np.clip(np.linspace(-1, 2, 120), 0, 1) * np.pi * (1 + seed % 2)
        for x in (wandering, exercise(once, rng, 0.01), exercise(np.zeros(120), rng, 0.01)):
            assert find_repetitions(posture_path(x), 30) == []


def test_distances_at_all_lags_are_those_of_a_plain_loop():
    rng = np.random.default_rng(0)
    for frames, columns in ((2, 1), (7, 3), (240, 36)):
        path = rng.normal(size=(frames, columns)).cumsum(axis=0) + 40
        plain = [((path[n:] - path[:-n]) ** 2).sum(axis=1).mean() for n in range(1, frames // 2 + 1)]
        np.testing.assert_allclose(lag_distances(path), plain, rtol=1e-9)


def test_an_hour_is_counted_in_seconds():
    """One repetition in ten seconds at 30 frames per second; all pairs of frames would be 10^10."""
    turn = np.linspace(0, 2 * np.pi * 360, 108_000)
    found = find_repetitions(np.stack([np.cos(turn), np.sin(turn) ** 2], axis=1))
    assert abs(len(found) - 360) <= 1


@pytest.mark.parametrize("frames", [0, 1, 5, 40])
def test_short_clips_and_bodies_of_one_joint_have_none(frames):
    rng = np.random.default_rng(0)
    assert find_repetitions(posture_path(rng.normal(size=(frames, 5, 3))), 30) == []
    x = np.zeros((frames, 5, 3))
    x[:, 2] = 1
    assert find_repetitions(posture_path(x), 30) == []


def test_it_neither_depends_on_place_nor_size_nor_slow_turns():
    rng = np.random.default_rng(3)
    x = exercise(phases(np.full(6, 1.2), 30, rng), rng, 0.02)
    first = find_repetitions(posture_path(x), 30)
    assert len(first) == 6
    moved = 100 * x + np.linspace(0, 500, len(x))[:, None, None]
    assert [(r.start, r.end) for r in find_repetitions(posture_path(moved), 30)] == [
        (r.start, r.end) for r in first
    ]
    turn = np.linspace(0, 0.5, len(x))
    x[..., 0], x[..., 2] = (
        np.cos(turn)[:, None] * x[..., 0] + np.sin(turn)[:, None] * x[..., 2],
        np.cos(turn)[:, None] * x[..., 2] - np.sin(turn)[:, None] * x[..., 0],
    )
    assert len(find_repetitions(posture_path(x), 30)) == 6


def test_the_verb_counts_by_person_and_says_seconds(tmp_path, capsys):
    rng = np.random.default_rng(1)
    phase = phases(np.full(5, 1.0), 30, rng)
    x = np.zeros((len(phase), 2, 25, 3), np.float32)
    x[:, :, :12] = np.stack([exercise(phase, rng, 0.02), exercise(np.zeros(len(phase)), rng, 0.02)], axis=1)
    x[:, :, 12:] = x[:, :, :1] + rng.normal(size=(13, 3)) * 0.1
    np.save(tmp_path / "squats.npy", x)
    command = ["count", tmp_path / "squats.npy", "--layout", "ntu25", "--axes", "TMVC"]
    command += ["--csv", tmp_path / "c.csv", "--json", tmp_path / "c.json"]
    assert main([*map(str, command), "--fps", "30"]) == 0
    first, second = json.loads((tmp_path / "c.json").read_text())["clips"]
    assert (first["count"], second["count"], second["repetitions"]) == (5, 0, [])
    assert first["repetitions"][0]["end"] == pytest.approx(2, abs=0.5)  # after a second of rest
    assert len(list(csv.DictReader((tmp_path / "c.csv").open()))) == 5
    assert main([*map(str, command)]) == 0
    assert "taken for 30 frames per second" in capsys.readouterr().err
