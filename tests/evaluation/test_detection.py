"""Task ``detection``: average precision by hand, recordings whose events are known, and the task itself."""

import io

import numpy as np
import pytest
from rich.console import Console

from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.errors import InputError
from kinelex.evaluation import evaluate
from kinelex.evaluation.detection_metrics import TIOUS, Detection, Spans, average_precision, matches
from kinelex.evaluation.protocols.detection import DetectionOptions
from kinelex.evaluation.recordings import from_clips, from_store


def spans(*rows):
    """Start, end, class and confidence of each."""
    table = np.array(rows, dtype=float).reshape(-1, 4)
    return Spans(table[:, :2], table[:, 2].astype(int), table[:, 3])


TRUE = [spans((0, 10, 0, 1), (20, 30, 0, 1), (40, 50, 1, 1)), spans((0, 10, 0, 1))]


def test_mean_average_precision_by_hand():
    """Class 0: ranked right (0.9), wrong (0.8: taken already), right (0.7), wrong (0.6: too short), of three
    true events. Precision 1, 1/2, 2/3, 2/4, so 1/3 x 1 + 1/3 x 2/3 = 5/9. Class 1: its one event is found
    second, below one elsewhere: 1/2. Class 2 has no true event and does not count."""
    found = [
        spans((0, 10, 0, 0.9), (1, 9, 0, 0.8), (20, 22, 0, 0.6), (41, 50, 1, 0.3), (0, 5, 2, 0.9)),
        spans((2, 11, 0, 0.7), (30, 40, 1, 0.5)),
    ]
    assert matches(found[0], TRUE[0], 0.5).tolist() == [True, False, False, True, False]
    judged = Detection(found, TRUE, classes=3)
    np.testing.assert_allclose(judged.class_ap(0.5), [5 / 9, 0.5, np.nan])
    assert judged.mean_ap(0.5) == pytest.approx((5 / 9 + 0.5) / 2)
    # At 0.9 the span 2 to 11 of 0 to 10 is wrong, too, and one of three is found.
    np.testing.assert_allclose(judged.class_ap(0.9)[:2], [1 / 3, 0.5])


def test_known_properties():
    rng = np.random.default_rng(0)
    starts = rng.uniform(0, 500, (6, 12))
    true = [spans(*[(s, s + 10, rng.integers(3), 1) for s in row]) for row in starts]
    found = [
        Spans(one.spans + rng.normal(0, 3, one.spans.shape), one.labels, rng.random(len(one.labels)))
        for one in true
    ]
    whole = Detection(true, true, 3)
    assert [whole.mean_ap(t) for t in TIOUS] == [1.0] * 4
    rates = [Detection(found, true, 3).mean_ap(t) for t in TIOUS]
    assert rates == sorted(rates, reverse=True)
    twice = [Spans(*(np.concatenate([a, a]) for a in vars(one).values())) for one in found]
    assert Detection(twice, true, 3).mean_ap(0.3) < rates[1]  # who says all twice is half as precise
    ranks = [Spans(one.spans, one.labels, np.exp(5 * one.confidence)) for one in found]
    assert Detection(ranks, true, 3).mean_ap(0.3) == rates[1]
    backwards = Detection(found[::-1], true[::-1], 3)
    assert backwards.mean_ap(0.3) == pytest.approx(rates[1])
    low, high = Detection(found, true, 3).interval(0.3)
    assert low < rates[1] < high
    assert Detection([spans()] * 6, true, 3).mean_ap(0.1) == 0.0
    assert average_precision(np.array([True, False]), np.array([0.5, 0.5]), 1) == 0.5  # no order of equals


def test_weights_are_recordings_that_come_several_times():
    rng = np.random.default_rng(1)
    true = [spans(*[(i, i + 8, i % 2, 1) for i in range(0, 60, 10)]) for _ in range(4)]
    found = [
        Spans(o.spans + rng.normal(0, 2, o.spans.shape), o.labels, rng.random(len(o.labels))) for o in true
    ]
    times = np.array([2, 0, 1, 3])
    several = [place for place, n in enumerate(times) for _ in range(n)]
    plain = Detection([found[p] for p in several], [true[p] for p in several], 2).mean_ap(0.5)
    assert Detection(found, true, 2).mean_ap(0.5, times.astype(float)) == pytest.approx(plain)


def test_recordings_put_together_hold_their_clips(acted):
    store = open_store(acted.store)
    rows = np.arange(60)
    made = from_clips(store, rows, clips=4, gap=0.5, seed=3)
    assert sum(len(one.true.labels) for one in made) == 60
    by_start = {store.sequence(row).tobytes(): row for row in rows.tolist()}
    for one in made:
        assert 1 <= len(one.true.labels) <= 4
        subjects = set()
        for (start, end), label in zip(one.true.spans, one.true.labels, strict=True):
            part = one.clip.coordinates[start:end]
            rows_of = [part[:, :m].copy().tobytes() for m in range(1, part.shape[1] + 1)]
            row = next(by_start[b] for b in rows_of if b in by_start)
            assert store.labels[row] == label
            subjects.add(store.subjects[row])
        assert len(subjects) == 1
        gaps = np.diff(np.append(one.true.spans.ravel(), len(one.clip.coordinates)))[1::2]
        assert gaps.min() > 0
        jumps = np.abs(np.diff(one.clip.coordinates[:, 0, 0], axis=0)).max()
        assert jumps < 1.0  # metres: the body goes to where the next clip begins
    again = from_clips(store, rows, clips=4, gap=0.5, seed=3)
    assert all(
        np.array_equal(a.clip.coordinates, b.clip.coordinates) for a, b in zip(made, again, strict=True)
    )


@pytest.fixture
def labelled(acted, tmp_path):
    """A store of one recording, and the table of its events."""
    store = open_store(acted.store)
    (first, *_) = from_clips(store, np.arange(24), clips=6, gap=0.5)
    with SkeletonStoreWriter(tmp_path / "long.arrow", StoreMeta("long", store.layout, ())) as writer:
        writer.add(Sequence("r", first.clip.coordinates, fps=30.0))
    lines = [
        f"r,{store.class_names[label]},{start / 30},{end / 30}"
        for (start, end), label in zip(first.true.spans, first.true.labels, strict=True)
    ]
    (tmp_path / "e.csv").write_text("recording,class,start,end\n" + "\n".join(lines) + "\n")
    return tmp_path / "long.arrow", tmp_path / "e.csv", first


def test_a_table_of_events_is_read_or_refused(acted, labelled, tmp_path):
    path, table, first = labelled
    names = open_store(acted.store).class_names
    (read,) = from_store(path, table, names)
    np.testing.assert_allclose(read.true.spans, first.true.spans)
    assert read.true.labels.tolist() == first.true.labels.tolist()
    for text, message in (
        ("recording,class,start,end\nx,walk,0,1\n", "no recording 'x'"),
        ("recording,class,start,end\nr,fly,0,1\n", "no class 'fly'"),
        (f"recording,class,start,end\nr,{names[0]},2,1\n", "start < end"),
        ("recording,label\nr,walk\n", "columns recording, class, start and end"),
        ("recording,class,start,end\n", "has no event"),
    ):
        (tmp_path / "wrong.csv").write_text(text)
        with pytest.raises(InputError, match=message):
            list(from_store(path, tmp_path / "wrong.csv", names))


def test_the_task_judges_a_run_beside_its_baselines(acted, labelled):
    path, table, first = labelled
    console = Console(file=io.StringIO())
    found = evaluate(acted.run, tasks=["detection"], baselines=False, console=console)["detection"]
    assert found["events"] == 43
    assert set(found["baselines"]) == {"nearest", "majority", "chance"}
    assert [0 <= found["mAP"][f"{t:g}"] <= 1 for t in TIOUS] == [True] * 4
    assert found["baselines"]["nearest"]["mAP"]["0.3"] > found["baselines"]["chance"]["mAP"]["0.3"]
    assert "mAP at tIoU" in console.file.getvalue()
    options = {"detection": {"source": str(path), "intervals": str(table)}}
    found = evaluate(acted.run, tasks=["detection"], baselines=False, console=console, options=options)
    assert (found["detection"]["recordings"], found["detection"]["events"]) == (1, len(first.true.labels))
    with pytest.raises(InputError, match=r"detection\.intervals=TABLE"):
        evaluate(
            acted.run, tasks=["detection"], console=console, options={"detection": {"source": str(path)}}
        )


def test_wrong_options_are_told():
    for wrong, message in (({"clips": 0}, "detection.clips"), ({"gap": -1.0}, "detection.gap")):
        with pytest.raises(InputError, match=message):
            DetectionOptions(**wrong)
    with pytest.raises(InputError, match="pass it too"):
        DetectionOptions(intervals="e.csv")
