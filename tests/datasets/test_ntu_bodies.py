"""Which of Kinect's bodies are the persons: against plain loops, and case by case."""

import numpy as np
import pytest
from ntu_files import Frames, Track, frames_of, ghost, person, text_of

from kinelex.datasets.bodies import Persons, Recording, clean_energy, clean_tracks
from kinelex.datasets.ntu_text import read_fast
from kinelex.errors import InputError


def recorded(frames: Frames) -> Recording:
    """The frames as the reader gives them."""
    recording = read_fast(text_of(frames))
    assert recording is not None
    return recording


def xyz(values: np.ndarray) -> np.ndarray:
    """Coordinates and pixels (25, 5) of a body's values, as stored."""
    return values[:, [0, 1, 2, 5, 6]].astype(np.float32)


def variance(bodies: list[np.ndarray]) -> float:
    """Sum over x, y, z of the variance over all joints and frames, by hand."""
    total = 0.0
    for axis in range(3):
        numbers = [float(joint[axis]) for body in bodies for joint in xyz(body)]
        mean = sum(numbers) / len(numbers)
        total += sum((n - mean) ** 2 for n in numbers) / len(numbers)
    return total


def is_noisy(body: np.ndarray) -> bool:
    """Whether a body is wider than 0.8 of its height."""
    xs, ys = [float(j[0]) for j in xyz(body)], [float(j[1]) for j in xyz(body)]
    return max(xs) - min(xs) > 0.8 * (max(ys) - min(ys))


def plain_tracks(frames: Frames) -> list[list[np.ndarray | None]]:
    """`denoise=tracks` in plain loops: of each frame kept, the two persons."""
    tracks: dict[int, dict[int, np.ndarray]] = {}
    for t, bodies in enumerate(frames):
        for number, values in bodies:
            tracks.setdefault(number, {})[t] = values
    if len(tracks) > 1:
        longer = {number: track for number, track in tracks.items() if len(track) > 11}
        tracks = longer or tracks
    motion = {number: variance(list(track.values())) for number, track in tracks.items()}
    if len(tracks) > 1:
        for number, track in list(tracks.items()):
            if len(tracks) == 1:
                break
            good = [body for body in track.values() if not is_noisy(body)]
            if (len(track) - len(good)) / len(track) >= 0.69754:
                del tracks[number]
            elif len(good) < len(track):
                motion[number] = min(motion[number], variance(good))
    order = sorted(tracks, key=lambda number: motion[number], reverse=True)
    persons: list[dict[int, np.ndarray]] = [{}, {}]
    for number in order:
        track = tracks[number]
        for mine in persons:
            if not mine or min(max(mine), max(track)) - max(min(mine), min(track)) <= 0:
                mine.update(track)
                break
    kept = [t for t in range(len(frames)) if t in persons[0] or t in persons[1]]
    return [[mine.get(t) for mine in persons] for t in kept]


def plain_energy(frames: Frames) -> list[list[np.ndarray | None]]:
    """`denoise=energy` in plain loops: of each frame, the two persons."""
    energy = []
    for place in range(4):
        bodies = [listed[place][1] for listed in frames if len(listed) > place]
        total = 0.0
        for axis in range(3):
            numbers = [float(joint[axis]) for body in bodies for joint in xyz(body)]
            mean = sum(numbers) / max(1, len(numbers))
            total += (sum((n - mean) ** 2 for n in numbers) / max(1, len(numbers))) ** 0.5
        energy.append(total)
    best = sorted(range(4), key=lambda place: energy[place], reverse=True)[:2]
    return [[b[place][1] if len(b) > place else None for place in best] for b in frames[:300]]


def assert_same(persons: Persons, expected: list[list[np.ndarray | None]]) -> None:
    """The persons are the expected ones; person 1 is left out where never there."""
    count = 2 if any(frame[1] is not None for frame in expected) else 1
    assert persons.coordinates.shape == (len(expected), count, 25, 3)
    assert persons.pixels.shape == (len(expected), count, 25, 2)
    for t, frame in enumerate(expected):
        for m in range(count):
            values = np.zeros((25, 5), np.float32) if frame[m] is None else xyz(frame[m])
            np.testing.assert_array_equal(persons.coordinates[t, m], values[:, :3])
            np.testing.assert_array_equal(persons.pixels[t, m], values[:, 3:])


def random_scene(seed: int) -> Frames:
    """Up to six bodies with gaps, ghosts, short tracks and frames that are wide now and then."""
    rng = np.random.default_rng(seed)
    frames, tracks = int(rng.integers(1, 60)), []
    for _ in range(rng.integers(1, 7)):
        first, last = np.sort(rng.integers(0, frames, 2))
        there = np.arange(first, last + 1)
        if rng.random() < 0.3:
            there = there[rng.random(len(there)) < 0.8]
        if not len(there):
            continue
        if rng.random() < 0.2:
            tracks.append(ghost(rng, there))
        else:
            wide = np.flatnonzero(rng.random(len(there)) < rng.choice([0, 0, 0.3, 0.69, 0.72]))
            tracks.append(person(rng, there, motion=rng.choice([0.02, 0.1, 0.5]), wide=wide))
    return frames_of(tracks or [person(rng, [0])], frames)


@pytest.mark.parametrize("seed", range(60))
def test_both_ways_equal_plain_loops(seed):
    frames = random_scene(seed)
    recording = recorded(frames)
    assert_same(clean_tracks(recording), plain_tracks(frames))
    assert_same(clean_energy(recording), plain_energy(frames))


def tracked(frames: int, *tracks: Track) -> Persons:
    """`denoise=tracks` of what the tracks say."""
    listed = frames_of(list(tracks), frames)
    persons = clean_tracks(recorded(listed))
    assert_same(persons, plain_tracks(listed))
    return persons


def shows(persons: Persons, person: int, track: Track, at: int = 0) -> bool:
    """Whether a person is what the track says, from frame ``at`` of the clip on."""
    x = persons.coordinates[at : at + len(track.frames), person]
    return bool(np.array_equal(x, track.values[..., :3].astype(np.float32)))


@pytest.fixture
def rng() -> np.random.Generator:
    """Draws bodies."""
    return np.random.default_rng(5)


def test_one_body_is_kept_whatever_it_is(rng):
    for track in (person(rng, range(40)), person(rng, range(3)), ghost(rng, range(20))):
        persons = tracked(40, track)
        assert persons.coordinates.shape == (len(track.frames), 1, 25, 3)
        assert shows(persons, 0, track)


def test_the_one_who_moves_more_is_person_0(rng):
    calm, lively = person(rng, range(30), motion=0.01), person(rng, range(30), motion=1)
    persons = tracked(30, calm, lively)
    assert shows(persons, 0, lively)
    assert shows(persons, 1, calm)


def test_a_body_found_again_under_another_number_stays_one_person(rng):
    before, after = person(rng, range(20)), person(rng, range(25, 50))
    persons = tracked(50, before, after)
    assert persons.coordinates.shape[:2] == (45, 1)
    assert shows(persons, 0, before)
    assert shows(persons, 0, after, 20)


def test_a_body_found_again_under_the_same_number_keeps_its_frames(rng):
    track = person(rng, [*range(15), *range(20, 40)])
    other = person(rng, range(40), motion=0.001)
    persons = tracked(40, other, track)
    assert persons.coordinates.shape[:2] == (40, 2)
    first = persons.coordinates[:, 0].any(axis=(1, 2))
    assert first.sum() == 35
    assert not first[15:20].any()


def test_short_tracks_and_ghosts_are_dropped(rng):
    real = person(rng, range(40))
    assert tracked(40, person(rng, range(11), motion=9), real).coordinates.shape[:2] == (40, 1)
    assert tracked(40, person(rng, range(12), motion=9), real).coordinates.shape[:2] == (40, 2)
    assert shows(tracked(40, ghost(rng, range(40)), real), 0, real)


def test_all_tracks_short_or_all_ghosts_leave_a_clip(rng):
    short = [person(rng, range(at, at + 8), motion=0.5 / (at + 1)) for at in (0, 8, 16)]
    assert tracked(24, *short).coordinates.shape[:2] == (24, 1)
    first, last = ghost(rng, range(20)), ghost(rng, range(20))
    assert shows(tracked(20, first, last), 0, last)


@pytest.mark.parametrize(("frames", "noisy", "kept"), [(1000, 697, 2), (1000, 698, 1)])
def test_the_share_of_noisy_frames_at_its_limit(rng, frames, noisy, kept):
    real, doubtful = person(rng, range(frames)), person(rng, range(frames), wide=range(noisy))
    recording = recorded(frames_of([real, doubtful], frames))
    assert clean_tracks(recording).coordinates.shape[1] == kept


def test_noisy_frames_do_not_count_as_motion(rng):
    wild = person(rng, range(40), motion=0.01, wide=range(0, 20))
    lively = person(rng, range(40), motion=0.6)
    assert shows(tracked(40, wild, lively), 0, lively)


def test_a_third_body_at_the_same_time_is_dropped(rng):
    bodies = [person(rng, range(30), motion=motion) for motion in (0.01, 1, 0.3)]
    persons = tracked(30, *bodies)
    assert persons.coordinates.shape[1] == 2
    assert not any(shows(persons, m, bodies[0]) for m in range(2))


def test_tracks_that_share_one_frame_do_not_overlap_those_that_share_two_do(rng):
    lively, calm = person(rng, range(20), motion=1), person(rng, range(19, 40), motion=0.01)
    persons = tracked(40, lively, calm)
    assert persons.coordinates.shape[:2] == (40, 1)
    assert shows(persons, 0, calm, 19)
    persons = tracked(40, lively, person(rng, range(18, 40), motion=0.01))
    assert persons.coordinates.shape[:2] == (40, 2)


def test_frames_with_nobody_go_with_tracks_and_stay_with_energy(rng):
    recording = recorded(frames_of([person(rng, [1, 2, 5])], 7))
    assert clean_tracks(recording).coordinates.shape[:2] == (3, 1)
    persons = clean_energy(recording)
    assert persons.coordinates.shape[:2] == (7, 1)
    assert persons.coordinates.any(axis=(1, 2, 3)).nonzero()[0].tolist() == [1, 2, 5]


def test_energy_looks_at_four_bodies_and_keeps_300_frames(rng):
    bodies = [person(rng, range(310), motion=motion) for motion in (0.01, 0.5, 0.02, 1.5, 9)]
    persons = clean_energy(recorded(frames_of(bodies, 310)))
    assert persons.coordinates.shape[:2] == (300, 2)
    np.testing.assert_array_equal(persons.coordinates[:, 0], bodies[3].values[:300, :, :3].astype(np.float32))
    np.testing.assert_array_equal(persons.coordinates[:, 1], bodies[1].values[:300, :, :3].astype(np.float32))


def test_a_body_at_zero_is_not_there(rng):
    frames = frames_of([person(rng, range(30)), person(rng, range(30))], 30)
    for bodies in frames[:25]:
        bodies[1][1][:, :3] = 0
    for clean in (clean_tracks, clean_energy):
        persons = clean(recorded(frames))
        assert (persons.coordinates[:25, 1:] == 0).all()
        assert (persons.pixels[:25, 1:] == 0).all()


def test_nobody_at_all(rng):
    for clean in (clean_tracks, clean_energy):
        with pytest.raises(InputError, match="^no frame has a body$"):
            clean(recorded([[], []]))
    late = recorded(frames_of([person(rng, [305])], 310))
    assert clean_tracks(late).coordinates.shape[:2] == (1, 1)
    with pytest.raises(InputError, match="^no frame has a body among the first 300$"):
        clean_energy(late)
