"""Windows, curves and events on generated recordings, and the verb with its page and its video."""

import csv
import io
import json

import numpy as np
import pytest
from rich.console import Console

import kinelex
from kinelex.cli import main
from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.errors import InputError
from kinelex.inference.events import Event, EventOptions, Timeline, find_events, suppress
from kinelex.inference.windows import FrameScores, score_frames, window_spans
from kinelex.reports.timeline import write_timelines
from kinelex.skeleton import get_layout

LAYOUT = get_layout("ntu25")


def recording(labels, persons=1):
    """Every joint of a frame is at its label + 1: what a window holds is easy to tell."""
    x = np.repeat(np.asarray(labels, np.float32) + 1, persons * 75).reshape(len(labels), persons, 25, 3)
    return Sequence("r", x, fps=30.0)


def share_of_labels(clips):
    """A judge that says which share of a window's frames has each of three labels; -1 is none."""
    counts = [np.bincount(clips.sequence(i)[:, 0, 0, 0].astype(int), minlength=4) for i in range(len(clips))]
    return np.array([count[1:4] / count.sum() for count in counts])


def test_windows_cover_every_frame_and_come_once():
    for frames in (1, 7, 100, 1001):
        spans = window_spans(frames, [1, 8, 30, 5000])
        assert len(np.unique(spans, axis=0)) == len(spans)
        assert spans.min() == 0
        assert spans.max() == frames
        lengths = spans[:, 1] - spans[:, 0]
        for length in np.unique(lengths):
            own = spans[lengths == length]
            assert (own[1:, 0] <= own[:-1, 1]).all()
            assert (own[0, 0], own[-1, 1]) == (0, frames)
    assert len(window_spans(10_000, [100])) == 397  # linear in the length


def test_curves_are_the_means_over_the_middles_of_windows():
    labels = np.random.default_rng(0).integers(-1, 3, size=90)
    seen = []

    def judge(clips):
        seen.extend(clips.ids)
        return share_of_labels(clips)

    found = score_frames(recording(labels), LAYOUT, judge, [8, 24], 3, 30.0)
    assert len(seen) == len(set(seen))
    spans = window_spans(90, [8, 24])
    for frame in (0, 1, 44, 89):
        inside = []
        for start, end in spans.tolist():
            cut = round(0.25 * (end - start))
            if (0 if start == 0 else start + cut) <= frame < (90 if end == 90 else end - cut):
                counts = np.bincount(labels[start:end] + 1, minlength=4)[1:]
                inside.append(counts / (end - start) * ((labels[start:end] >= 0).mean() >= 0.5))
        np.testing.assert_allclose(found.curves[frame], np.mean(inside, axis=0), atol=1e-9)


def test_events_lie_where_they_were_put():
    labels = np.full(400, -1)
    true = [(20, 80, 0), (130, 190, 1), (200, 260, 2), (330, 400, 0)]
    for start, end, label in true:
        labels[start:end] = label
    labels[labels < 0] = 3  # somebody is there and does nothing that is known

    def judge(clips):
        joints = [clips.sequence(i)[:, 0, 0, 0] for i in range(len(clips))]
        return np.array([[(x == label + 1).mean() for label in range(3)] for x in joints])

    scores = score_frames(recording(labels), LAYOUT, judge, [15, 30], 3, 10.0)
    found = find_events(scores, ("a", "b", "c"))
    assert [one.label for one in found] == ["a", "b", "c", "a"]
    for one, (start, end, _) in zip(found, true, strict=True):
        assert one.start * 10 == pytest.approx(start, abs=8)
        assert one.end * 10 == pytest.approx(end, abs=8)
        assert one.confidence > 0.7


def test_nobody_does_nothing():
    x = recording(np.zeros(100))
    x.coordinates[30:] = 0
    found = score_frames(x, LAYOUT, share_of_labels, [10], 3, 10.0)
    (one,) = find_events(found, ("a", "b", "c"))
    assert (one.start, one.end) == (0.0, 3.0)
    empty = FrameScores("r", 0, 10.0, np.zeros((5, 3)), np.ones(5, bool))
    assert find_events(empty, ("a", "b", "c")) == []


def test_of_overlapping_events_the_surer_one_stays():
    rng = np.random.default_rng(0)
    starts = rng.uniform(0, 100, 60)
    spans, sure = np.stack([starts, starts + rng.uniform(1, 30, 60)], axis=1), rng.random(60)
    kept, plain = suppress(spans, sure, 0.3), []
    for place in np.argsort(-sure):
        one = spans[place]
        shared = [max(0, min(one[1], spans[k][1]) - max(one[0], spans[k][0])) for k in plain]
        unions = [np.ptp(one) + np.ptp(spans[k]) - s for k, s in zip(plain, shared, strict=True)]
        if all(s / u <= 0.3 for s, u in zip(shared, unions, strict=True)):
            plain.append(place)
    assert kept == plain


@pytest.fixture(scope="module")
def long_store(acted, tmp_path_factory):
    """Two recordings of five acted clips each, one of them of two persons."""
    store, path = open_store(acted.store), tmp_path_factory.mktemp("long") / "long.arrow"
    alone = np.flatnonzero(store.persons == 1)[:5]
    pair = np.flatnonzero(store.persons == 2)[:2]
    with SkeletonStoreWriter(path, StoreMeta("long", store.layout, ())) as writer:
        for name, rows in (("one", alone), ("two", pair)):
            writer.add(Sequence(name, np.concatenate([store.sequence(int(r)) for r in rows]), fps=30.0))
    return path


def test_the_model_says_who_and_when(acted, long_store):
    model = kinelex.load_model(acted.run)
    model.console = Console(file=io.StringIO())
    one, two = model.events(open_store(long_store), windows=(1, 2), least=0.2)
    assert {score.person for score in one.scores} == {0}
    assert {score.person for score in two.scores} == {0, 1}
    for timeline in (one, two):
        for event in timeline.events:
            assert 0 <= event.start < event.end <= timeline.seconds
            assert event.label in model.classes
    (whole,) = model.events([open_store(long_store).sequence(1)], fps=30, windows=2, together=True)
    assert [score.person for score in whole.scores] == [None]
    x = open_store(long_store).sequence(0)
    alone = model.events(x, windows=(1, 2), least=0.2)
    assert not alone.fps_known
    assert [e.numbers() | {"recording": ""} for e in alone.events] == [
        e.numbers() | {"recording": ""} for e in one.events
    ]
    model.events(x)
    assert "by the lengths of the run's clips" in model.console.file.getvalue()
    with pytest.raises(InputError, match="did you mean .windows"):
        model.events(x, window=1)


def test_the_command_writes_table_page_json_and_csv(acted, long_store, tmp_path, capsys):
    files = {name: tmp_path / f"e.{name}" for name in ("json", "csv", "html")}
    given = [part for name, path in files.items() for part in (f"--{name}", str(path))]
    command = ["events", str(acted.run), str(long_store), "--windows", "1,2", "--least", "0.1", *given]
    assert main(command) == 0
    said = json.loads(files["json"].read_text())["recordings"]
    assert [one["recording"] for one in said] == ["one", "two"]
    rows = list(csv.DictReader(files["csv"].open()))
    assert len(rows) == sum(len(one["events"]) for one in said) > 0
    assert list(rows[0]) == ["recording", "person", "class", "start", "end", "confidence"]
    page = files["html"].read_text()
    assert "person 1" in page
    assert "http" not in page
    assert page.count('class="event"') == len(rows)
    assert rows[0]["class"] in capsys.readouterr().out
    for wrong, message in (
        (["--windows", "a"], "expects seconds"),
        (["--windows", "0"], "expects 1 to 8 lengths"),
        (["--least", "2"], "least probability"),
        (["--video", str(tmp_path / "v.mp4")], "must be a video"),
    ):
        assert main(["events", str(acted.run), str(long_store), *wrong]) == 2
        assert message in capsys.readouterr().err


def test_skeletons_and_labels_are_drawn_over_the_video(tmp_path):
    pytest.importorskip("av")
    from kinelex.files.mp4 import write_mp4
    from kinelex.files.video import VideoFile
    from kinelex.reports.timeline import write_video

    grey = np.full((121, 161, 3), 120, np.uint8)
    times = [0.0, 0.1, 0.2, 0.3, 0.4, 0.7, 0.8, 0.9]  # one is late
    assert write_mp4(tmp_path / "in.mp4", ((time, grey) for time in times)) == 8
    rng = np.random.default_rng(0)
    places = rng.uniform(40, 100, size=(10, 1, 25, 2)).astype(np.float32)
    with SkeletonStoreWriter(tmp_path / "s.arrow", StoreMeta("v", LAYOUT, ())) as writer:
        writer.add(Sequence("in", rng.random((10, 1, 25, 3)), image_coordinates=places, fps=10.0))
    events = (Event("in", 0, "wave", 0.0, 0.5, 0.9),)
    timeline = Timeline("in", 1.0, ("wave",), (), events)
    write_video(tmp_path / "out.mp4", tmp_path / "in.mp4", open_store(tmp_path / "s.arrow"), timeline)
    drawn = list(VideoFile(tmp_path / "out.mp4").timed_pictures())
    np.testing.assert_allclose([time for time, _ in drawn], times, atol=1e-3)
    dark = [int((picture.max(axis=2) < 60).sum()) for _, picture in drawn]  # behind the label
    assert min(dark[:5]) > 100 > max(dark[5:])
    assert all((np.abs(picture.astype(int) - 120).max(axis=2) > 40).sum() > 200 for _, picture in drawn)
    with pytest.raises(InputError, match="no picture"):
        write_mp4(tmp_path / "none.mp4", [])
    assert not (tmp_path / "none.mp4").exists()


def test_the_page_says_that_not_all_events_are_drawn(tmp_path):
    events = tuple(Event("long", None, "wave", float(t), t + 0.5, 0.9) for t in range(61))
    recordings = [Timeline("long", 61.0, ("wave",), (), events), Timeline("quiet", 1.0, ("wave",), ())]
    page = tmp_path / "p.html"
    write_timelines(page, recordings, "a test", lambda name: (np.ones((90, 1, 25, 3)), LAYOUT))
    assert "of the first events of a recording" in page.read_text()


def test_options_out_of_range_are_refused():
    for wrong in ({"windows": ()}, {"windows": (0.0,)}, {"windows": (1.0,) * 9}, {"least": 0.0}):
        with pytest.raises(InputError, match="expects"):
            EventOptions(**wrong)
