"""`kinelex predict` and `load_model` on the built-in actors: the same numbers everywhere."""

import csv
import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

import kinelex
from kinelex.cli.main import main
from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.evaluation import evaluate, load_scores
from kinelex.inference.ensemble import Ensemble
from kinelex.inference.fusion import softmax
from kinelex.inference.known_clips import KnownClips, TrainingClips
from kinelex.inference.model import Model
from kinelex.inference.own_head import fitted_probe
from kinelex.prompts import registry
from kinelex.runtime.predictions import NONE
from kinelex.skeleton import get_layout
from kinelex.training.train import train


def clips_of(store, rows, folder):
    """Rows of a store as files, one clip each."""
    for row in rows:
        path = folder / f"{store.ids[row]}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, store.sequence(int(row)))
    return folder


def test_files_stores_and_arrays_give_what_the_task_classify_says(acted, judged, model, tmp_path):
    store = open_store(acted.store)
    evaluate(judged, protocol="xsub", tasks=["classify"], baselines=False)
    rows = get_split(store, "xsub").test
    scores = load_scores(next((judged / "evaluation" / "scores" / "xsub").glob("*classify*.npz"))).logits
    of_store = model.predict(store)
    assert [of_store[r].label for r in rows] == [store.class_names[i] for i in scores.argmax(axis=1)]
    heat = model.calibration.temperature
    np.testing.assert_allclose(of_store.probabilities[rows], softmax(scores / heat), atol=1e-4)
    clips_of(store, rows[:6], tmp_path)
    of_files = {p.id: p for p in model.predict_files(str(tmp_path))}
    of_arrays = model.predict([store.sequence(int(r)) for r in rows[:6]])
    for row, one in zip(rows[:6], of_arrays, strict=True):
        for other in (of_store[row], of_files[store.ids[row]]):
            assert other.label == one.label
            np.testing.assert_allclose(other.probabilities, one.probabilities, atol=1e-4)
    assert of_arrays.probabilities.sum(axis=1) == pytest.approx(1)


def test_calibration_is_kept_and_needs_no_store_the_next_time(acted, judged, model, tmp_path):
    assert model.calibration.held_out
    assert model.calibration.clips == 26
    copy = tmp_path / "copy"
    shutil.copytree(judged, copy)
    config = (copy / "config.yaml").read_text().replace(str(acted.store), str(tmp_path / "gone.arrow"))
    again = kinelex.load_model(judged)
    assert again.calibration == model.calibration
    np.testing.assert_array_equal(again.known_clips.features, model.known_clips.features)
    assert len(again.known_clips.features) == 51  # those that the run learned
    (copy / "config.yaml").write_text(config)
    alone = kinelex.load_model(copy)  # another config: nothing is kept for it, and the store is not there
    assert (alone.calibration.temperature, alone.calibration.threshold) == (1.0, None)
    assert "is not there" in alone.calibration.source
    assert alone.predict(open_store(acted.store).sequence(0)).known is None


def test_a_run_that_learned_everything_is_calibrated_by_a_run_of_a_fold(acted, judged, quick, tmp_path):
    changes = [change for change in quick if change[:3] not in ("dim", "hid")]
    run = train("supervised", acted.store, "xsub", tmp_path / "whole", overrides=changes).path
    alone = kinelex.load_model(run).calibration
    assert (alone.held_out, alone.clips) == (False, 77)
    assert alone.temperature >= 1
    helped = kinelex.load_model(run, holdout=judged).calibration
    assert (helped.held_out, helped.clips) == (True, 26)
    with pytest.raises(InputError, match="left 0 clips"):
        kinelex.load_model(run, holdout=run)


def test_the_kth_nearest_known_clip_is_that_of_a_plain_loop():
    rng = np.random.default_rng(0)
    bank, query = rng.normal(size=(30, 8)), rng.normal(size=(7, 8))
    for k, own in ((1, None), (3, None), (3, np.arange(7) * 2)):
        wanted = []
        for i, one in enumerate(query):
            others = [row for j, row in enumerate(bank) if own is None or j != own[i]]
            near = sorted(one @ row / np.linalg.norm(one) / np.linalg.norm(row) for row in others)
            wanted.append(near[-k])
        np.testing.assert_allclose(KnownClips(bank, k).cosines(query, own), wanted, atol=1e-6)


def test_a_probe_is_calibrated_where_a_subject_has_fewer_clips_than_neighbours_count(tmp_path):
    path, rng = tmp_path / "two.arrow", np.random.default_rng(0)
    with SkeletonStoreWriter(path, StoreMeta("two", get_layout("ntu25"), ("a", "b"))) as writer:
        for row in range(30):
            x = rng.normal(size=(4, 1, 25, 3))
            writer.add(Sequence(str(row), x, label=row % 2, subject=int(row > 27)))
    store, rows = open_store(path), np.arange(30)
    features = {"joint": rng.normal(size=(30, 4)) + 4 * (rows % 2)[:, None]}
    _, found, known = fitted_probe(TrainingClips(store, "xsub", rows, rows[:0]), rows, features)
    assert (known.k, found.clips) == (5, 30)
    assert np.isfinite(found.neighbour)


def test_a_clip_is_unknown_where_it_is_far_from_the_training_clips(acted, model):
    """What is said of it is the same from all places, and without their features by its highest score."""
    store = open_store(acted.store)
    rows = get_split(store, "xsub:fold1of3").test
    features = model.features(store, rows)
    _, cosines, least = model.told(features)
    assert model.known_by == "neighbour"
    assert np.mean(cosines >= least) == pytest.approx(0.95, abs=0.03)
    np.testing.assert_allclose([model.predict(store)[row].score for row in rows], cosines, atol=1e-6)
    away = {"joint": -features["joint"]}
    assert not (model.told(away)[1] >= least).any()
    without = Model(model.run, model.encoders, model.head, "", model.calibration)
    assert without.known_by == "score"
    _, scores, least = without.told(features)
    assert (least, scores[0]) == (model.calibration.threshold, model.head.scores(features)[0].max())


def test_a_clip_of_no_class_is_called_so(acted, model):
    store = open_store(acted.store)
    found = model.predict(store)
    learned = [found[row].known for row in get_split(store, "xsub:fold1of3").test]
    assert np.mean(learned) > 0.9  # 95 % of the clips that the threshold was chosen on
    lost = replace(found[0], score=-np.inf)
    assert (lost.known, lost.answer) == (False, NONE)
    assert NONE in repr(lost)
    assert "<table>" in lost._repr_html_()


def test_each_person_of_several_is_told_alone(acted, model):
    store = open_store(acted.store)
    row = int(np.flatnonzero(store.persons == 2)[0])
    clip = store.sequence(row)
    both = model.predict(clip)
    assert len(both.persons) == 2
    alone = model.predict(clip[:, 1])
    np.testing.assert_allclose(both.persons[1].probabilities, alone.probabilities, atol=1e-6)
    crowd = model.predict(np.concatenate([clip, clip + 0.5], axis=1))
    assert len(crowd.persons) == 4


def test_the_command_writes_table_json_and_csv(acted, judged, tmp_path, capsys):
    store = open_store(acted.store)
    folder = clips_of(store, range(3), tmp_path / "clips")
    out, rows = tmp_path / "out.json", tmp_path / "out.csv"
    words = ["predict", str(judged), str(folder), "--top", "2", "--json", str(out), "--csv", str(rows)]
    assert main(words) == 0
    numbers = json.loads(out.read_text())
    assert numbers["calibration"]["clips"] == 26
    assert [len(one["top"]) for one in numbers["clips"]] == [2, 2, 2]
    with rows.open() as file:
        listed = list(csv.DictReader(file))
    assert {row["id"] for row in listed} == {one["id"] for one in numbers["clips"]}
    assert "the run's own classifier" in capsys.readouterr().out


def test_many_classes_stand_below_each_other_in_a_terminal(acted, judged, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    clips = clips_of(open_store(acted.store), range(3), tmp_path / "clips")
    assert main(["predict", str(judged), str(clips), "--top", "24"]) == 0
    said = capsys.readouterr()
    lines = [line for line in said.out.splitlines() if " %  " in line]
    assert len(lines) == 24
    assert max(map(len, lines)) <= 80
    assert "1 of 3 rows are shown" in said.err


def test_several_runs_are_averaged(acted, judged, tmp_path, capsys):
    clips, store = clips_of(open_store(acted.store), range(3), tmp_path / "clips"), open_store(acted.store)
    both = kinelex.load_model([judged, acted.run])
    apart = [kinelex.load_model(run).predict(store) for run in (judged, acted.run)]
    said = both.predict(store)
    wanted = np.mean([one.probabilities for one in apart], axis=0)
    np.testing.assert_allclose(said.probabilities, wanted, atol=1e-6)
    row = int(np.flatnonzero(store.persons == 2)[0])
    persons = [one[row].persons[1].probabilities for one in apart]
    np.testing.assert_allclose(said[row].persons[1].probabilities, np.mean(persons, axis=0), atol=1e-6)
    known = np.array([[one.known for one in run] for run in apart])
    assert [one.known for one in said] == (known.mean(axis=0) >= 0.5).tolist()
    assert both.predict(store.sequence(0)).label == said[0].label
    out = tmp_path / "out.json"
    assert main(["predict", f"{judged},{acted.run}", str(clips), "--json", str(out)]) == 0
    numbers = json.loads(out.read_text())
    assert [one["known_by"] for one in numbers["runs"]] == ["neighbour", "neighbour"]
    assert [one["id"] for one in numbers["clips"]] == list(store.ids[:3])
    assert numbers["clips"][0]["probability"] == pytest.approx(wanted[0].max(), abs=1e-4)
    assert "is for one run" in refused(
        ["predict", f"{judged},{acted.run}", clips, "--holdout", judged], capsys
    )
    assert "gone is no run" in refused(["predict", f"{judged},gone", clips], capsys)
    other = kinelex.load_model(judged)
    other.head = replace(other.head, classes=other.classes[::-1])
    with pytest.raises(InputError, match="the same classes in the same order"):
        Ensemble([both.models[0], other])
    for given in ([judged], (judged,)):
        with pytest.raises(InputError, match="two runs or more"):
            kinelex.load_model(given)


def test_clips_of_another_layout_are_retargeted(model):
    rng = np.random.default_rng(0)
    one = model.predict(rng.normal(size=(30, 20, 3)), layout="kinect20")
    assert len(one.probabilities) == len(model.classes) == 24


def test_a_run_without_labels_tells_the_classes_of_its_store_or_of_examples(acted, tmp_path):
    store = open_store(acted.store)
    probe = kinelex.load_model(acted.run)
    assert probe.classes == store.class_names
    assert "regression" in probe.by
    assert probe.calibration.held_out
    again = kinelex.load_model(acted.run)
    np.testing.assert_array_equal(again.head.weights["joint"], probe.head.weights["joint"])
    for label in (2, 5):
        name = store.class_names[label]
        rows = np.flatnonzero(store.labels == label)[:4]
        for row in rows:
            path = tmp_path / "examples" / name / f"{row}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, store.sequence(int(row)))
    for head in ("knn", "linear"):
        few = kinelex.load_model(acted.run, examples=tmp_path / "examples", head=head)
        assert few.classes == (store.class_names[2], store.class_names[5])
        assert few.examples["examples"] == 8
        assert 0 <= few.examples["leave_one_out"] <= 1
        assert few.known_clips.k == 1
        assert few.predict(store.sequence(int(rows[0]))).label == store.class_names[5]


def refused(words, capsys):
    status = main([str(word) for word in words])
    said = capsys.readouterr().err
    assert status == 2, said
    assert "Traceback" not in said
    return said


def test_wrong_input_is_one_message(acted, judged, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "bad"
    folder.mkdir()
    np.save(folder / "empty.npy", np.zeros((0, 25, 3)))
    np.save(folder / "flat.npy", np.random.default_rng(0).normal(size=(9, 17, 2)) * 100)
    (folder / "broken.npy").write_bytes(b"no array")
    (folder / "film.mp4").write_bytes(b"film")
    (tmp_path / "one" / "wave").mkdir(parents=True)
    np.save(tmp_path / "one" / "wave" / "a.npy", open_store(acted.store).sequence(0))
    run = ["predict", judged]
    assert "no frames" in refused([*run, folder / "empty.npy"], capsys)
    assert "2-D" in refused([*run, folder / "flat.npy"], capsys)
    assert "broken.npy" in refused([*run, folder / "broken.npy"], capsys)
    monkeypatch.setenv("KINELEX_POSE_MODEL", "gone.task")
    assert "gone.task" in refused([*run, folder / "film.mp4"], capsys)
    assert "does not exist" in refused([*run, folder / "gone.npy"], capsys)
    assert "one class" in refused([*run, acted.store, "--examples", tmp_path / "one"], capsys)
    assert "space of texts" in refused([*run, acted.store, "--classes", "wave, jump"], capsys)
    assert "two classes" in refused(["predict", acted.run, acted.store, "--classes", "wave"], capsys)
    assert "is a store" in refused([*run, acted.store, "--fps", "30"], capsys)
    assert "no store gone.arrow" in refused([*run, acted.store, "--data", "gone.arrow"], capsys)
    assert "at least 1 class" in refused([*run, acted.store, "--top", "0"], capsys)
    assert "prompt store" in refused([*run, acted.prompts], capsys)


def test_wrong_arrays_are_one_message(model):
    clip = np.ones((9, 25, 3))
    with pytest.raises(InputError, match="finite"):
        model.predict(np.where(np.arange(9)[:, None, None] == 3, np.nan, clip))
    with pytest.raises(InputError, match="no frames"):
        model.predict(clip[:0])
    with pytest.raises(InputError, match="expects 25"):
        model.predict(clip[:, :20])
    with pytest.raises(InputError, match="2-D"):
        model.predict(clip[..., :2])
    with pytest.raises(InputError, match="at least one clip"):
        model.predict([])
    for rates in ([30, 30, 30], "fast"):
        with pytest.raises(InputError, match="one for each of 2 clips"):
            model.predict([clip, clip], fps=rates)
    with pytest.raises(InputError, match="unknown option of load_model"):
        kinelex.load_model(model.run, exampels="folder")


def test_a_layout_that_cannot_be_retargeted_is_told(acted, judged, tmp_path, capsys):
    from kinelex.skeleton import get_layout

    hand = get_layout("hand21")
    with SkeletonStoreWriter(tmp_path / "hands.arrow", StoreMeta("hands", hand, ("a",))) as writer:
        writer.add(Sequence("a", np.ones((4, 1, 21, 3)), label=0))
    assert "hand21" in refused(["predict", judged, tmp_path / "hands.arrow"], capsys)


class Drawn:
    """The text encoder of the acted prompts: each letter says something else, but 'hm' says nothing."""

    name, version = "drawn", "1"

    def encode(self, texts):
        letters = np.random.default_rng(0).normal(size=(26, 8))
        rows = [sum((letters[ord(c) % 26] for c in text), np.zeros(8)) for text in texts]
        return np.stack([row * (text != "hm") for text, row in zip(texts, rows, strict=True)])

    def in_pieces(self, text):
        return [word for word in text.split() if word in ("asdf", "qwer")]


@pytest.fixture
def drawn(monkeypatch):
    monkeypatch.setitem(registry.PARTS[registry.TEXT_ENCODER], "drawn", Drawn)


@pytest.mark.usefixtures("drawn")
def test_words_are_classes_by_the_space_that_the_run_learned(acted):
    clip = open_store(acted.store).sequence(0)
    words = kinelex.load_model(acted.run, classes="waving, kicking, sitting down")
    assert words.classes == ("waving", "kicking", "sitting down")
    said = words.predict(clip)
    assert said.known is None
    assert said.probabilities.sum() == pytest.approx(1)
    assert words.calibration.temperature == 0.07
    console = Console(file=io.StringIO(), width=200)
    kinelex.load_model(acted.run, console=console, classes="waving asdf, qwer asdf")
    assert console.file.getvalue().count("knows no word of") == 1
    assert "'qwer asdf'" in console.file.getvalue()
    for classes, message in (
        ("waving, hm", "says nothing"),
        ("tea, eat", "the same to the text encoder"),
        ("wave, Wave", "twice"),
        ("12, wave", "no letter"),
        ("wave", "two classes"),
    ):
        with pytest.raises(InputError, match=message):
            kinelex.load_model(acted.run, classes=classes)
