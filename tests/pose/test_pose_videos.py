"""Videos to a store with an engine that sees coloured boxes: labels, times, persons, kills, bad input."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from processes import run_python

from kinelex.cli import main
from kinelex.data import open_store
from kinelex.datasets.single import ReadOptions
from kinelex.errors import InputError
from kinelex.inference.clips import read_inputs
from kinelex.pose import OneEuro, PoseEngine, PoseOptions, Poses, estimate
from kinelex.pose.registry import ENGINES
from kinelex.skeleton import get_layout

av = pytest.importorskip("av", reason="PyAV is not installed")
LAYOUT = get_layout("coco17")
SPREAD = np.random.default_rng(0).random((17, 2)).astype(np.float32)


class Boxes(PoseEngine):
    """A red and a green box are somebody, from left to right.

    Args:
        persons: how many are looked for.
        bright: from which light on.
    """

    name, layout, world = "boxes", LAYOUT, True
    seen: list[tuple[int, int]] = []

    def __init__(self, persons: int, *, bright: int = 128) -> None:
        super().__init__(persons)
        self.bright = bright

    def detect(self, picture: np.ndarray, time: float) -> Poses:
        self.seen.append(picture.shape[:2])
        boxes = []
        for channel in (0, 1):
            rows, columns = np.nonzero(picture[..., channel] > self.bright)
            if len(rows):
                corner = np.array([columns.min(), rows.min()])
                boxes.append((corner, np.array([columns.max(), rows.max()]) - corner + 1))
        boxes.sort(key=lambda box: box[0][0])
        image = np.array([corner + SPREAD * size for corner, size in boxes], np.float32).reshape(-1, 17, 2)
        space = np.concatenate([image, image[..., :1]], axis=2) / 100
        return Poses(image, np.ones(image.shape[:2], np.float32), space)


@pytest.fixture(autouse=True)
def boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine ``boxes``."""
    monkeypatch.setitem(ENGINES, "boxes", Boxes)
    Boxes.seen = []


def film(
    path: Path, red: list[int | None], green: list[int | None] = (), times: list[int] = (), **how: int
) -> Path:  # type: ignore[assignment]
    """A video of 128 by 96 in which boxes stand at such columns; ``times`` in milliseconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=how.get("rate", 10))
        stream.height, stream.width, stream.pix_fmt, stream.bit_rate = 96, 128, "yuv420p", 4_000_000
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        for t, column in enumerate(red):
            picture = np.zeros((96, 128, 3), np.uint8)
            for channel, at in enumerate((column, green[t] if green else None)):
                if at is not None:
                    picture[20:80, at : at + 24, channel] = 255
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if times:
                frame.pts, frame.time_base = times[t], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


OPTIONS = PoseOptions(engine="boxes")


KILLED = """
import os, signal, sys
import test_pose_videos as t
t.ENGINES["boxes"] = t.Boxes
detect = t.Boxes.detect
def killed(self, picture, time):
    if len(self.seen) == 12:
        os.kill(os.getpid(), signal.SIGKILL)
    return detect(self, picture, time)
if sys.argv[3] == "killed":
    t.Boxes.detect = killed
summary = t.estimate(sys.argv[1], sys.argv[2], t.OPTIONS, progress=False, workers=1)
print(summary.written, summary.skipped, len(t.Boxes.seen), file=sys.stderr)
"""


def test_class_folders_give_labels_and_a_killed_run_goes_on(tmp_path: Path) -> None:
    for name in ("clap/one", "clap/two", "wave/three"):
        film(tmp_path / "in" / f"{name}.mp4", [10 + 2 * t for t in range(8)])
    (tmp_path / "in" / "wave" / "notes.txt").write_text("no video")
    out = tmp_path / "s.arrow"
    place = str(tmp_path / "in"), str(out)
    assert run_python(KILLED, *place, "killed").returncode == -signal.SIGKILL
    assert not out.exists()
    again = run_python(KILLED, *place, "goes on")  # a process of its own, as after a kill
    assert again.stderr.split()[-3:] == ["3", "0", "16"], again.stderr  # the first was kept
    store = open_store(out)
    assert store.class_names == ("clap", "wave")
    assert [store.class_names[label] for label in store.labels] == ["clap", "clap", "wave"]
    x, pixels = store.sequence(0), store.image_coordinates(0)
    assert x.shape == (8, 1, 17, 3)
    assert pixels is not None
    assert np.abs(np.diff(pixels[:, 0].mean(axis=1)[:, 0]) - 2).max() < 1.6
    assert store.image_size(0) == (96, 128)
    assert store.meta.units == "metres"
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_persons_who_cross_keep_their_places(tmp_path: Path) -> None:
    right, left = [4 + 4 * t for t in range(24)], [100 - 4 * t for t in range(24)]
    left[11:14] = [None] * 3  # hidden behind the other  # type: ignore[list-item]
    path = film(tmp_path / "cross.mp4", right, left)
    estimate(path, tmp_path / "s.arrow", OPTIONS, progress=False, workers=1)
    pixels = open_store(tmp_path / "s.arrow").image_coordinates(0)
    assert pixels is not None
    middle = np.where(pixels.any(axis=(2, 3)), pixels.mean(axis=2)[..., 0], np.nan)
    assert middle.shape == (24, 2)
    up, down = (0, 1) if middle[0, 0] < middle[0, 1] else (1, 0)
    assert np.nanmin(np.diff(middle[:, up])) > 0
    assert middle[0, down] > 90
    assert middle[-1, down] < 30
    assert np.isnan(middle[:, down]).sum() == 3


def test_uneven_times_become_a_grid_and_the_rate_thins(tmp_path: Path) -> None:
    times = [0, 100, 200, 250, 400, 500, 600, 700, 800, 930, 1000]
    path = film(tmp_path / "phone.mkv", [10 + t // 20 for t in times], times=times)
    summary = estimate(path, tmp_path / "s.arrow", OPTIONS, progress=False, workers=1)
    store = open_store(tmp_path / "s.arrow")
    pixels = store.image_coordinates(0)
    assert pixels is not None
    middle = pixels[:, 0].mean(axis=1)[:, 0]
    assert np.abs(np.diff(middle) - np.diff(middle).mean()).max() < 1.5
    assert any("uneven times" in note for note in summary.notes)
    slow = film(tmp_path / "slow.mkv", [10] * 12, times=[100 * t + 25 * t * t for t in range(12)])
    estimate(slow, tmp_path / "slow.arrow", OPTIONS, progress=False, workers=1)  # its header says 10 a second
    assert open_store(tmp_path / "slow.arrow").lengths[0] > 10
    thin = PoseOptions(engine="boxes", rate=5, coordinates="image")
    estimate(film(tmp_path / "even.mp4", [10] * 20), tmp_path / "t.arrow", thin, progress=False, workers=1)
    store = open_store(tmp_path / "t.arrow")
    assert store.sequence(0).shape == (10, 1, 17, 2)
    assert store.meta.units == "pixels"
    assert store.fps[0] == 5 if hasattr(store, "fps") else True


def test_the_verb_skips_what_is_no_clip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = tmp_path / "in", tmp_path / "s.arrow"
    film(folder / "good.mp4", [10] * 6)
    film(folder / "nobody.mp4", [None] * 6)
    (folder / "text.mp4").write_text("no video at all")
    (folder / "empty.avi").touch()
    with av.open(str(folder / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    words = ["pose", str(folder), "--out", str(out), "--engine", "boxes", "--workers", "1", "--smooth"]
    numbers = tmp_path / "n.json"
    assert main([*words, "smooth.beta=3", "--json", str(numbers)]) == 0
    assert json.loads(numbers.read_text())["written"] == 1
    with open(tmp_path / "skipped.csv") as file:
        reasons = {Path(row["file"]).name: row["reason"] for row in csv.DictReader(file)}
    assert set(reasons) == {"nobody.mp4", "text.mp4", "empty.avi", "sound.mp4"}
    assert reasons["nobody.mp4"] == "nobody is seen in its 6 frames"
    assert "no pictures" in reasons["sound.mp4"]
    (folder / "good.mp4").unlink()
    before = out.read_bytes()
    capsys.readouterr()
    assert main(words) == 2
    assert "nothing was written" in capsys.readouterr().err
    assert main([words[0], str(folder / "nobody.mp4"), *words[2:]]) == 2
    assert capsys.readouterr().err.endswith("nobody.mp4: nobody is seen in its 6 frames\n")
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.mp4"], "does not exist"),
        (["."], "holds no video"),
        (["a.mp4", "--engine", "boxs"], "unknown pose engine 'boxs': did you mean 'boxes'"),
        (["a.mp4", "--engine", "boxes", "pose.brigt=3"], "did you mean 'bright'"),
        (["a.mp4", "--engine", "boxes", "--persons", "0"], "expects 1 to 64 persons"),
        (["a.mp4", "--engine", "boxes", "--coordinates", "wrld"], "did you mean 'world'"),
        (["a.mp4", "--engine", "boxes", "smooth.beta=3"], "need --smooth"),
        (["a.mp4", "--engine", "boxes", "--smooth", "smooth.min_cutoff=0"], "expects more than 0"),
        (["a.mp4", "--engine", "boxes", "--rate", "-1"], "positive number of frames per second"),
        (["a.mp4", "--engine", "boxes", "--gaps", "fil"], "unknown --gaps"),
    ],
)
def test_wrong_input_is_one_message(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if words[0] != ".":
        (tmp_path / "a.mp4").touch()
    assert main(["pose", *words, "--out", "s.arrow"]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert "Traceback" not in error
    assert not (tmp_path / "s.arrow").exists()


def test_smoothing_takes_noise_from_a_still_joint() -> None:
    from kinelex.pose import OneEuroFilter

    rng = np.random.default_rng(0)
    noisy = 1 + 0.02 * rng.normal(size=(90, 1, 3))
    smooth = OneEuroFilter(OneEuro(beta=0.0))
    out = np.array([smooth(x, t / 30) for t, x in enumerate(noisy)])
    assert out[30:].std() < 0.6 * noisy[30:].std()
    absent = smooth(np.zeros((1, 3)), 3.0)
    assert not absent.any()
    assert smooth(np.full((1, 3), 9.0), 3.1).tolist() == [[9.0, 9.0, 9.0]]


def test_missing_and_damaged_models_are_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    from kinelex.pose import create

    monkeypatch.delenv("KINELEX_POSE_MODEL", raising=False)
    with pytest.raises(InputError, match=r"pose\.model: there is no file"):
        create("mediapipe", model=str(tmp_path / "none.task"))
    damaged = tmp_path / "damaged.task"
    damaged.write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(InputError, match=r"is no \.task file, or damaged"):
        create("mediapipe", model=str(damaged))


class _Landmarker:
    """Sees the bright columns of a picture: the leftmost of them, as a model that finds one of several."""

    made: list[str] = []

    @classmethod
    def create_from_options(cls, options: SimpleNamespace) -> _Landmarker:
        cls.made.append(f"{options.running_mode} {options.num_poses}")
        return cls()

    def detect(self, picture: np.ndarray) -> SimpleNamespace:
        found = np.flatnonzero(picture[10, :, 0] == 255)[:1]
        at = [[SimpleNamespace(x=x / 64, y=y / 48, z=0.1, visibility=0.9) for y in range(33)] for x in found]
        return SimpleNamespace(pose_landmarks=at, pose_world_landmarks=at)

    def detect_for_video(self, picture: np.ndarray, time: int) -> SimpleNamespace:
        return self.detect(picture)

    def close(self) -> None:
        return


@pytest.mark.parametrize(
    ("persons", "again", "expected"), [(1, True, [5]), (2, True, [5, 40]), (2, False, [5])]
)
def test_who_is_not_found_beside_others_is_found_with_them_covered(
    persons: int, again: bool, expected: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from kinelex.pose.engines import mediapipe

    modes = SimpleNamespace(VIDEO="video", IMAGE="image")
    vision = SimpleNamespace(
        PoseLandmarker=_Landmarker, PoseLandmarkerOptions=SimpleNamespace, RunningMode=modes
    )
    needs = (lambda picture: picture, vision, lambda **words: words)
    monkeypatch.setattr(mediapipe, "_need_mediapipe", lambda: needs)
    monkeypatch.setattr(mediapipe, "_check_task", lambda path: None)
    monkeypatch.setattr(_Landmarker, "made", [])
    (tmp_path / "m.task").write_bytes(b"")
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, [5, 40]] = 255
    engine = mediapipe.MediaPipe(persons, model=str(tmp_path / "m.task"), again=again)
    for time in (0.0, 0.1):
        poses = engine.detect(picture, time)
        assert poses.image[:, 0, 0].round(3).tolist() == expected
        assert poses.world is not None
        assert poses.world.shape == (len(expected), 33, 3)
    assert (picture[:, [5, 40]] == 255).all()  # it is the caller's
    assert not len(engine.detect(np.zeros_like(picture), 0.2))
    assert _Landmarker.made == [f"video {persons}", *["image 1"] * (persons > 1 and again)]
    engine.close()


def test_a_video_is_an_input_of_predict_and_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(ENGINES, "mediapipe", Boxes)
    path = film(tmp_path / "bob.mp4", [40 + round(24 * np.sin(t / 2)) for t in range(50)])
    estimate(path, tmp_path / "s.arrow", progress=False, workers=1)
    store = open_store(tmp_path / "s.arrow")
    ((clips,), notes) = read_inputs([path], ReadOptions())
    assert (clips.ids, clips.layout, notes) == (store.ids, store.layout, [])
    assert clips.fps.tolist() == store.fps.tolist()
    np.testing.assert_array_equal(clips.sequence(0), store.sequence(0))
    with pytest.raises(InputError, match="--fps is for raw clips, and .*bob.mp4 is a video"):
        read_inputs([path], ReadOptions(fps=10))
    assert main(["count", str(path)]) == 0
    assert "bob" in capsys.readouterr().out
    assert main(["count", str(film(tmp_path / "nobody.mp4", [None] * 5))]) == 2
    assert "nobody" in capsys.readouterr().err


def test_what_a_manifest_says_of_frames_is_told_to_be_passed_over(tmp_path: Path) -> None:
    film(tmp_path / "in" / "a.mp4", [40] * 5)
    (tmp_path / "in" / "manifest.csv").write_text("file,label,fps\na.mp4,wave,25\n")
    summary = estimate(tmp_path / "in", tmp_path / "s.arrow", OPTIONS, progress=False, workers=1)
    assert any("frames and fps in a manifest are passed over" in note for note in summary.notes)
    assert open_store(tmp_path / "s.arrow").fps.tolist() == [10]


def test_several_videos_come_from_the_folder_that_holds_them(tmp_path: Path) -> None:
    paths = [film(tmp_path / "in" / name, [40] * 5) for name in ("a.mp4", "b/c.mp4")]
    estimate(paths, tmp_path / "s.arrow", OPTIONS, progress=False, workers=1)
    assert open_store(tmp_path / "s.arrow").meta.source == str(tmp_path / "in")


SCRIPT = """
import sys
import numpy as np
from kinelex.pose import PoseEngine, PoseOptions, Poses, estimate, register
from kinelex.skeleton import get_layout

@register
class Statue(PoseEngine):
    name, layout = "statue", get_layout("coco17")
    def detect(self, picture, time):
        return Poses(np.full((1, 17, 2), 20, np.float32), np.ones((1, 17), np.float32))

print(estimate(sys.argv[1], sys.argv[2], PoseOptions(engine="statue"), progress=False, workers=2))
"""


def test_an_engine_of_the_users_script_goes_to_the_workers(tmp_path: Path) -> None:
    for name in "abc":
        film(tmp_path / "in" / f"{name}.mp4", [40] * 4)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "in"), str(tmp_path / "s.arrow")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("3 written\n", "")
