"""Score files: what evaluate leaves, what is read back, what is refused, and other people's pickles."""

import io
import json
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from kinelex import encoders
from kinelex.data import Sequence, SkeletonStore, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.evaluation import ScoreFile, evaluate, load_scores
from kinelex.evaluation.score_pickles import read_published
from kinelex.evaluation.scores import score_path, scores_of_run
from kinelex.inference.features import extract_features
from kinelex.skeleton import get_layout
from kinelex.training.encoder_files import load_encoders, save_encoders
from kinelex.training.learned import learned_parts
from kinelex.training.run_directory import RunDirectory
from kinelex.transforms import InputConfig, InputPipeline


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def two_streams(store, tmp_path) -> RunDirectory:
    """A run that learned (it says) the labels of one fold, with two encoders and their classifiers."""
    options = {"name": "stgcn", "channels": 4, "depth": [1, 1, 1]}
    config = {
        "data": str(store.path),
        "recipe": "supervised",
        "dataset": "utd_mhad",
        "store_fingerprint": store.fingerprint,
        "protocol": "xsub",
        "prompts": None,
        "method": {"name": "supervised"},
        "encoder": options,
        "input": {},
    }
    run = RunDirectory.create(tmp_path / "two", config)
    torch.manual_seed(0)
    made = {
        s: encoders.create("stgcn", layout=store.layout, channels=4, depth=(1, 1, 1))
        for s in ("joint", "bone")
    }
    linears = {s: torch.nn.Linear(e.num_features, 3) for s, e in made.items()}
    pipeline = InputPipeline(store.layout, InputConfig(frames=16))
    save_encoders(run.path, made, options, pipeline, linears, store.class_names)
    return run


def test_evaluate_writes_logits_of_every_stream_and_of_all(two_streams, store):
    console = quiet()
    result = evaluate(two_streams.path, baselines=False, console=console)
    test = get_split(store, "xsub").test
    folder = two_streams.path / "evaluation" / "scores" / "xsub"
    assert sorted(p.name for p in folder.iterdir()) == [
        "classify-bone.npz",
        "classify-joint.npz",
        "classify.npz",
    ]
    assert f"scores in {folder}" in console.file.getvalue()
    probabilities = []
    for stream, encoder in load_encoders(two_streams.path).items():
        found = load_scores(folder / f"classify-{stream}.npz")
        assert found.ids == tuple(store.ids[row] for row in test)
        assert found.labels.tolist() == store.labels[test].tolist()
        assert (found.classes, found.stream, found.task, found.run) == (
            ("a", "b", "c"),
            stream,
            "classify",
            "two",
        )
        assert found.learned == ((store.fingerprint, "xsub"),)
        weight, bias = encoder.last_layer()
        expected = extract_features(encoder, store, test) @ weight.T + bias
        np.testing.assert_allclose(found.logits, expected, rtol=1e-5, atol=1e-5)
        probabilities.append(found.probabilities())
        rate = (found.logits.argmax(axis=1) == found.labels).mean()
        assert rate == pytest.approx(result["classify"]["streams"][stream]["top1"])
    fused = load_scores(folder / "classify.npz")
    np.testing.assert_allclose(fused.probabilities(), np.mean(probabilities, axis=0), atol=1e-6)
    assert (fused.stream, fused.dataset, fused.protocol) == ("", "utd_mhad", "xsub")
    assert [p.name for p in scores_of_run(two_streams.path, "xsub", "classify")] == [
        "classify-joint.npz",
        "classify-bone.npz",
    ]


def test_one_stream_has_one_file_and_knn_keeps_votes(run, store):
    evaluate(run.path, protocol="xsub:fold1of2", tasks=("knn",), baselines=False, console=quiet())
    (path,) = scores_of_run(run.path, "xsub:fold1of2", "knn")
    assert path == run.path / "evaluation" / "scores" / "xsub_fold1of2" / "knn.npz"
    votes = load_scores(path)
    assert votes.learned == ()  # c2vl learns without labels
    np.testing.assert_array_equal(votes.probabilities(), votes.logits)
    with pytest.raises(InputError, match="has no scores of linear for xsub: make them with"):
        scores_of_run(run.path, "xsub", "linear")


def test_a_run_in_training_has_no_scores(tmp_path):
    RunDirectory.create(tmp_path / "run", {"method": {"name": "supervised"}})
    with pytest.raises(InputError, match="its training has not finished: go on with --resume"):
        scores_of_run(tmp_path / "run", "xsub", "classify")


def test_what_was_learned_goes_back_to_the_runs_adapted_from():
    base = {"method": {"name": "supervised"}, "store_fingerprint": "one", "protocol": "xsub"}
    middle = {"method": {"name": "supervised"}, "store_fingerprint": "two", "protocol": "xview"}
    middle["adapted"] = {"mode": "full", "from": base}
    last = {"method": {"name": "supervised"}, "store_fingerprint": "three", "protocol": "unseen"}
    last["adapted"] = {"mode": "batch_norm", "from": middle}  # reads no labels
    assert [part["store_fingerprint"] for part in learned_parts(last)] == ["two", "one"]
    assert learned_parts({**base, "method": {"name": "cmd"}}) == []
    assert learned_parts({"method": {"name": "supervised"}, "protocol": None}) == []


def scores_of(logits, **more) -> ScoreFile:
    n, classes = np.shape(logits)
    names = tuple("abc"[:classes])
    return ScoreFile(tuple(f"clip{i}" for i in range(n)), np.zeros(n, int), np.array(logits), names, **more)


def test_a_file_comes_back_as_it_was(tmp_path):
    logits = np.array([[0.5, -np.inf, 2.0]])
    before = scores_of(logits, task="linear", run="ünïcode", learned=(("f", "xsub"),))
    before.save(tmp_path / "new" / "s.npz")
    after = load_scores(tmp_path / "new" / "s.npz")
    assert {**vars(after), "logits": 0, "labels": 0} == {**vars(before), "logits": 0, "labels": 0}
    np.testing.assert_array_equal(after.logits, logits)
    scores_of(logits).save(tmp_path / "u.npz")
    assert load_scores(tmp_path / "u.npz").learned is None
    content = np.load(tmp_path / "u.npz", allow_pickle=False)
    assert {name: content[name].dtype.kind for name in content} == {
        "ids": "U", "labels": "i", "logits": "f", "classes": "U", "about": "U"
    }  # fmt: skip


def test_impossible_scores_are_refused():
    with pytest.raises(InputError, match="no finite one"):
        scores_of([[np.nan, 0.0]])
    with pytest.raises(InputError, match="no finite one"):
        scores_of([[-np.inf, -np.inf]])
    with pytest.raises(InputError, match="labels from 0 to 1"):
        ScoreFile(("a",), np.array([2]), np.zeros((1, 2)), ("x", "y"))
    with pytest.raises(InputError, match="1 ids stand there twice"):
        ScoreFile(("a", "a"), np.zeros(2, int), np.zeros((2, 2)), ("x", "y"))
    with pytest.raises(InputError, match=r"scores \(1, 2\), got \(1,\) and \(1, 3\)"):
        ScoreFile(("a",), np.zeros(1, int), np.zeros((1, 3)), ("x", "y"))


def test_a_damaged_compressed_file_is_one_message(tmp_path):
    scores = ScoreFile(("a", "b"), np.array([0, 1]), np.eye(2), ("sit", "walk"), task="classify")
    scores.save(tmp_path / "good.npz")
    with np.load(tmp_path / "good.npz") as file:
        np.savez_compressed(tmp_path / "packed.npz", **file)
    load_scores(tmp_path / "packed.npz")
    whole = (tmp_path / "packed.npz").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[rng.integers(0, len(whole), 8)] ^= 255
        (tmp_path / "packed.npz").write_bytes(damaged.tobytes())
        with pytest.raises(InputError, match="damaged"):
            load_scores(tmp_path / "packed.npz")


def test_damaged_files_are_one_message(tmp_path, store):
    good = tmp_path / "good.npz"
    scores_of([[0.0, 1.0]]).save(good)
    whole = good.read_bytes()
    for name, content in {
        "empty.npz": b"",
        "text.npz": b"hello",
        "half.npz": whole[: len(whole) // 2],
        "store.npz": store.path.read_bytes(),
        "code.npz": pickle.dumps(os.getcwd),
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name} is no score file, or a damaged one"):
            load_scores(tmp_path / name)
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    np.save(tmp_path / "array.npz.npy", np.zeros(3))
    for name in ("other.npz", "array.npz.npy"):
        with pytest.raises(InputError, match="no score file"):
            load_scores(tmp_path / name)
    with pytest.raises(InputError, match="does not exist"):
        load_scores(tmp_path / "none.npz")
    with pytest.raises(InputError, match="is a directory"):
        scores_of([[0.0, 1.0]]).save(tmp_path)
    with pytest.raises(InputError, match="is a store, which would be lost"):
        scores_of([[0.0, 1.0]]).save(store.path)
    with np.load(good) as file:
        parts = dict(file)
    parts["about"] = np.array(json.dumps({**json.loads(str(parts["about"])), "learned": 3}))
    np.savez(tmp_path / "about.npz", **parts)
    with pytest.raises(InputError, match="no score file"):
        load_scores(tmp_path / "about.npz")


@pytest.mark.parametrize("make", [dict, OrderedDict])
@pytest.mark.parametrize("protocol", [2, 4])
def test_published_pickles_by_id_and_by_file_name(store, tmp_path, make, protocol):
    test = get_split(store, "xsub").test
    logits = np.random.default_rng(0).normal(size=(len(test), 3)).astype(np.float32)
    order = np.random.default_rng(1).permutation(len(test))
    path = tmp_path / "epoch1_test_score.pkl"
    for names in (
        [store.ids[row] for row in test],
        [f"{store.ids[row]}.skeleton" for row in test],
    ):
        path.write_bytes(pickle.dumps(make((names[i], logits[i]) for i in order), protocol=protocol))
        found = read_published(path, store, test, "xsub")
        for clip, row in zip(found.ids, found.logits, strict=True):
            np.testing.assert_array_equal(row, logits[[store.ids[r] for r in test].index(clip)])
        assert found.labels.tolist() == [int(store.labels[store.ids.index(c)]) for c in found.ids]
        assert (found.run, found.learned, found.task) == ("epoch1_test_score", None, "")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1, 2], "expects a dict of sample names and scores, got list"),
        ({}, "expects a dict"),
        (np.zeros(3), "expects a dict of sample names and scores, got .*rray"),
        (
            {"clip1": np.zeros(4)},
            r"the scores of 'clip1' have the shape \(4,\), expects one score for each of the 3",
        ),
        ({"clip1": [1.0, 2.0, 3.0]}, "expects sample names and arrays of scores, got 'clip1'"),
        ({7.5: np.zeros(3)}, "expects sample names and arrays"),
        ({"clip1": np.zeros(3), "walk": np.zeros(3)}, "1 of 2 sample names are not in .* first is 'walk'"),
        ({"test_0": np.zeros(3)}, "order of the code that wrote it, which is not known for utd_mhad xsub"),
        ({0: np.zeros(3), 1: np.zeros(3)}, "not known for utd_mhad xsub: pass a file .* --order"),
        ({0: np.zeros(3), "test_1": np.zeros(3), "x": np.zeros(3)}, "sample names are not in"),
        ({"clip1": np.full(3, np.nan)}, "damaged: scores are no numbers"),
        ({"clip1": os.getcwd}, "wants to run posix.getcwd, which was refused"),
    ],
)
def test_wrong_pickles_are_one_message(store, tmp_path, content, said):
    path = Path(tmp_path / "s.pkl")
    path.write_bytes(pickle.dumps(content))
    test = get_split(store, "xsub").test
    with pytest.raises(InputError, match=said):
        read_published(path, store, test, "xsub")
    with pytest.raises(
        InputError, match="ids of the store" if "order of" in said or "--order" in said else said
    ):
        read_published(path, store, test[:0], "xsub")


def ntu_store(path: Path, dataset: str, ids: list[str]) -> SkeletonStore:
    """Clips of NTU RGB+D by their names, in the order given."""
    layout = get_layout("ntu25")
    with SkeletonStoreWriter(path, StoreMeta(dataset, layout, ("a", "b", "c"))) as writer:
        for clip in ids:
            setup, camera, subject, label = (int(clip[i : i + 3]) for i in (1, 5, 9, 17))
            about = {"label": label - 1, "subject": subject, "camera": camera, "setup": setup}
            writer.add(Sequence(clip, np.ones((2, 1, 25, 3)), **about))
    return open_store(path)


@pytest.mark.parametrize(
    ("dataset", "protocol"), [("ntu60", "xsub"), ("ntu60", "xview"), ("ntu120", "xsub"), ("ntu120", "xset")]
)
def test_numbers_in_pickles_of_ntu_count_in_the_published_order(tmp_path, dataset, protocol):
    """A perfect classifier stays perfect: the order is built as the authors' preparation does, by a loop."""
    rng = np.random.default_rng(0)
    ids = [
        f"S{s:03d}C{c:03d}P{p:03d}R001A{a:03d}"
        for s in (1, 2, 3)
        for c in (1, 2)
        for p in (1, 3, 6, 8)
        for a in (1, 2, 3)
    ]
    store = ntu_store(tmp_path / "s.arrow", dataset, [ids[i] for i in rng.permutation(len(ids))])
    subject, camera, setup = ({c: int(c[i : i + 3]) for c in ids} for i in (9, 5, 1))
    groups = {"xsub": (subject, (3, 6)), "xview": (camera, (1,)), "xset": (setup, (1, 3))}
    column, tested = groups[protocol]
    written = [clip for number in tested for clip in sorted(ids) if column[clip] == number]
    path = tmp_path / "epoch1_test_score.pkl"
    perfect = {f"test_{i}": np.eye(3)[int(clip[-1]) - 1] for i, clip in enumerate(written)}
    path.write_bytes(pickle.dumps(perfect))
    test = get_split(store, protocol).test
    found = read_published(path, store, test, protocol)
    assert sorted(found.ids) == sorted(store.ids[row] for row in test)
    assert list(found.ids) == written
    assert (found.logits.argmax(axis=1) == found.labels).all()
    perfect.popitem()
    path.write_bytes(pickle.dumps(perfect))
    with pytest.raises(InputError, match="they cannot be matched by their order"):
        read_published(path, store, test, protocol)
    with pytest.raises(InputError, match="which is not known"):
        read_published(path, store, test, f"{protocol}:fold1of2")


def test_numbers_elsewhere_need_a_file_that_names_the_clips_in_order(store, tmp_path):
    test = get_split(store, "xsub").test
    order = [store.ids[row] for row in np.random.default_rng(0).permutation(test)]
    path = tmp_path / "epoch1_test_score.pkl"
    path.write_bytes(
        pickle.dumps({i: np.eye(3)[store.labels[store.ids.index(c)]] for i, c in enumerate(order)})
    )
    (tmp_path / "o.txt").write_text("\n".join(order) + "\n")
    (tmp_path / "o.json").write_text(json.dumps([f"{clip}.json" for clip in order]))
    (tmp_path / "val_label.pkl").write_bytes(pickle.dumps([{"file_name": c, "label": 1} for c in order]))
    for name in ("o.txt", "o.json", "val_label.pkl"):
        found = read_published(path, store, test, "xsub", tmp_path / name)
        assert list(found.ids) == order
        assert (found.logits.argmax(axis=1) == found.labels).all()
    for name, content, said in (
        ("none.txt", None, "cannot be read"),
        ("empty.txt", "", "has no list of names"),
        ("short.txt", "clip24", "they cannot be matched by their order"),
        ("other.txt", "walk", "walk"),
        ("bad.json", "{", "cannot be read"),
    ):
        if content is not None:
            (tmp_path / name).write_text(content)
        with pytest.raises(InputError, match=said):
            read_published(path, store, test, "xsub", tmp_path / name)


def test_numbers_of_a_store_of_their_own_npz_are_its_ids(tmp_path):
    with SkeletonStoreWriter(tmp_path / "n.arrow", StoreMeta("x", get_layout("ntu25"), ("a", "b"))) as writer:
        for i, part in enumerate(("train", "test", "test")):
            tags = {"label": i % 2, "splits": (f"given:{part}",)}
            writer.add(Sequence(f"{part}_{max(i - 1, 0):06d}", np.ones((2, 1, 25, 3)), **tags))
    store, path = open_store(tmp_path / "n.arrow"), tmp_path / "s.pkl"
    path.write_bytes(pickle.dumps({"test_1": np.array([1.0, 0.0]), "test_0": np.array([0.0, 1.0])}))
    assert read_published(path, store, np.array([1, 2]), "given").ids == ("test_000001", "test_000000")


def test_names_of_protocols_do_not_meet():
    paths = {score_path(Path("r"), p, "knn") for p in ("a:b", "a/b", "a b", "file:x/y.json")}
    assert len(paths) == 4
    assert all(len(p.parts) == 5 for p in paths)
