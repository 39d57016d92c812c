"""Ensembles: sums by hand, the search and its ties, and every way in which a number could flatter."""

import io
import itertools
import json
import pickle

import numpy as np
import pytest
from rich.console import Console

from kinelex.cli import main
from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.evaluation import ScoreFile, ensemble, load_scores
from kinelex.evaluation.scores import score_path
from kinelex.evaluation.weights import objective_of, search_weights


def quiet() -> Console:
    return Console(file=io.StringIO(), width=160)


def write(path, store, rows, logits, **more):
    ids = tuple(store.ids[row] for row in rows)
    about = {"task": "classify", "stream": "joint", "run": path.stem, "learned": (), **more}
    ScoreFile(ids, store.labels[rows], logits, store.class_names, **about).save(path)
    return path


@pytest.fixture
def files(store, tmp_path):
    """Two files on the test part of xsub in different orders: the first right on classes 0 and 1, the second
    on class 2, more surely."""
    test = get_split(store, "xsub").test
    labels = store.labels[test]
    first = np.where(labels[:, None] == 2, [1.0, 0.0, 0.0], 1.0 * np.eye(3)[labels])
    second = np.where(labels[:, None] == 2, 4 * np.eye(3)[labels], [0.0, 0.1, 0.0])
    order = np.random.default_rng(0).permutation(len(test))
    return [
        write(tmp_path / "first.npz", store, test, first),
        write(tmp_path / "second.npz", store, test[order], second[order]),
    ]


def test_softmax_scores_are_added_by_a_loop(files, store, tmp_path):
    test = get_split(store, "xsub").test
    for weights in (None, [1.0, 0.5], [3.0, 0.0]):
        result = ensemble(files, store.path, "xsub", weights=weights, out=tmp_path / "e.npz", console=quiet())
        right = equal_right = 0
        for row in test:
            totals = []
            for use in (weights or [1, 1], [1, 1]):
                total = [0.0, 0.0, 0.0]
                for path, w in zip(files, use, strict=True):
                    file = load_scores(path)
                    z = file.logits[file.ids.index(store.ids[row])].astype(float)
                    for c in range(3):
                        total[c] += w * np.exp(z[c]) / sum(np.exp(z[k]) for k in range(3))
                totals.append(total)
            right += int(np.argmax(totals[0])) == store.labels[row]
            equal_right += int(np.argmax(totals[1])) == store.labels[row]
        assert result["ensemble"]["top1"] == pytest.approx(right / len(test))
        assert result["equal"]["top1"] == pytest.approx(equal_right / len(test))
        written = load_scores(tmp_path / "e.npz")
        assert (written.logits.argmax(axis=1) == written.labels).mean() == pytest.approx(right / len(test))
        assert written.run == "ensemble of 2"
    assert result["files"][0]["top1"] == pytest.approx(2 / 3)
    assert [f["weight"] for f in result["files"]] == [1.0, 0.0]
    assert result["how"] == "given weights"


def test_an_ensemble_of_votes_and_softmax_scores_is_read_back_as_it_was_made(files, store, tmp_path):
    votes = load_scores(files[0])
    write(tmp_path / "votes.npz", store, get_split(store, "xsub").test, votes.probabilities(), task="knn")
    ensemble([tmp_path / "votes.npz", files[1]], store.path, "xsub", out=tmp_path / "e.npz", console=quiet())
    made, second = load_scores(tmp_path / "e.npz"), load_scores(files[1])
    order = [second.ids.index(clip) for clip in made.ids]
    assert made.task == ""
    expected = (votes.probabilities() + second.probabilities()[order]) / 2
    assert np.abs(made.probabilities() - expected).max() < 1e-6


def test_the_name_of_what_is_written_says_what_it_is(files, store, tmp_path):
    with pytest.raises(InputError, match=r"to end in \.npz, got --out .*e\.pkl"):
        ensemble(files, store.path, "xsub", out=tmp_path / "e.pkl", console=quiet())
    assert not (tmp_path / "e.pkl").exists()


def test_logits_are_added_when_asked(store, tmp_path):
    test = get_split(store, "xsub").test
    one = np.tile([10.0, 0.0, 0.0], (len(test), 1))
    two = np.tile([0.0, 3.0, 0.0], (len(test), 1))
    paths = [write(tmp_path / f"{i}.npz", store, test, z) for i, z in enumerate((one, two))]
    share = (store.labels[test] == 0).mean()
    assert ensemble(paths, store.path, "xsub", weights=[1, 2], console=quiet())["ensemble"][
        "top1"
    ] == pytest.approx(share)
    # softmax: 2 * 0.91 against 1 * 0.9999 -> class 1; logits: 10 against 6 -> class 0
    result = ensemble(paths, store.path, "xsub", weights=[1, 2], combine="logits", console=quiet())
    assert result["ensemble"]["top1"] == pytest.approx((store.labels[test] == 0).mean())
    result = ensemble(
        paths, store.path, "xsub", weights=[1, 3.5], combine="logits", out=tmp_path / "o.npz", console=quiet()
    )
    assert result["ensemble"]["top1"] == pytest.approx((store.labels[test] == 1).mean())
    np.testing.assert_allclose(
        load_scores(tmp_path / "o.npz").logits[0], [10 / 4.5, 10.5 / 4.5, 0], rtol=1e-6
    )


def test_a_clear_winner_takes_all_and_ties_stay_equal():
    labels = np.arange(30) % 3
    right, wrong = np.eye(3)[labels] * 0.7 + 0.1, np.eye(3)[(labels + 1) % 3] * 0.7 + 0.1
    for objective in ("log_likelihood", "accuracy"):
        np.testing.assert_allclose(search_weights([right] * 3, labels, objective, "softmax"), [1 / 3] * 3)
    np.testing.assert_allclose(search_weights([right, wrong], labels, "log_likelihood", "softmax"), [1, 0])
    first, second = search_weights([right, wrong], labels, "accuracy", "softmax")
    assert 0.5 < first < 0.6  # more than the other's is enough to be right: no further from equal than needed
    assert first + second == pytest.approx(1)
    same = search_weights([right, wrong], labels, "log_likelihood", "softmax")
    np.testing.assert_array_equal(same, search_weights([right, wrong], labels, "log_likelihood", "softmax"))


@pytest.mark.parametrize("combine", ["softmax", "logits"])
def test_the_search_finds_what_a_grid_finds(combine):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, size=200)
    tables = []
    for noise in (1.0, 2.0, 0.5):
        z = 2 * np.eye(4)[labels] + noise * rng.normal(size=(200, 4))
        p = np.exp(z)
        tables.append(p / p.sum(axis=1, keepdims=True) if combine == "softmax" else z)
    best = -np.inf
    for a, b in itertools.product(range(21), range(21)):
        if a + b <= 20:
            shares = np.array([a, b, 20 - a - b]) / 20
            mix = sum(w * t for w, t in zip(shares, tables, strict=True))
            best = max(best, objective_of(mix, labels, "log_likelihood", combine))
    found = search_weights(tables, labels, "log_likelihood", combine)
    mix = sum(w * t for w, t in zip(found, tables, strict=True))
    assert objective_of(mix, labels, "log_likelihood", combine) > best - 1e-3
    assert found.argmax() == 2


def held(store, tmp_path, kind="good", **more):
    """Holdout scores on fold 1 of 2: the first model knows, the second guesses wrong."""
    rows = get_split(store, "xsub:fold1of2").test
    labels = store.labels[rows]
    first = write(tmp_path / "h1.npz", store, rows, 3.0 * np.eye(3)[labels], **more)
    second = write(tmp_path / "h2.npz", store, rows, 3.0 * np.eye(3)[(labels + 1) % 3], **more)
    return [first, second]


def test_weights_are_searched_on_held_out_clips(files, store, tmp_path):
    console = quiet()
    result = ensemble(
        files, store.path, "xsub", search="holdout", holdout=held(store, tmp_path), console=console
    )
    assert [f["weight"] for f in result["files"]] == pytest.approx([1, 0])
    assert result["ensemble"]["top1"] == pytest.approx(2 / 3)  # the first file's own
    assert result["holdout"] == {
        "clips": 12,
        "objective": "log_likelihood",
        "top1_equal": pytest.approx(result["holdout"]["top1_equal"]),
        "top1": 1.0,
        "not_known_whether_learned": [],
    }
    text = console.file.getvalue()
    assert "searched by log likelihood on 12 clips held out of training" in " ".join(text.split())
    for words in ("first", "second", "equal weights", "ensemble, searched"):
        assert words in text


def test_what_would_flatter_is_refused(files, store, tmp_path):
    def search(holdout, message):
        with pytest.raises(InputError, match=message):
            ensemble(files, store.path, "xsub", search="holdout", holdout=holdout, console=quiet())

    search(files, "24 of its 24 clips are in the test part of xsub: weights are searched on clips held out")
    good = held(store, tmp_path)
    search(good[:1], "as many holdout files as score files.*got 1 for 2")
    mixed = get_split(store, "xsub").train[:3]
    other = write(tmp_path / "few.npz", store, mixed, np.zeros((3, 3)))
    search([good[0], other], "it lacks|has 3 clips")
    swapped = write(
        tmp_path / "bone.npz", store, get_split(store, "xsub:fold1of2").test, np.zeros((12, 3)), stream="bone"
    )
    search([good[0], swapped], r"bone.npz \(classify bone\) stands for .*second.npz \(classify joint\)")
    learned = held(store, tmp_path, learned=((store.fingerprint, "xsub:fold2of2"),))
    search(learned, r"its run learned 12 of these 12 clips \(trained on xsub:fold2of2\)")
    elsewhere = held(
        store, tmp_path, learned=(("another store", "xview"), (store.fingerprint, "xsub:fold1of2"))
    )
    ensemble(files, store.path, "xsub", search="holdout", holdout=elsewhere, console=quiet())
    with pytest.raises(InputError, match="expects --search holdout, got 'test'"):
        ensemble(files, store.path, "xsub", search="test", console=quiet())
    with pytest.raises(InputError, match="belong together"):
        ensemble(files, store.path, "xsub", search="holdout", console=quiet())
    with pytest.raises(InputError, match="belong together"):
        ensemble(files, store.path, "xsub", holdout=good, console=quiet())


def test_files_that_do_not_belong_together_are_refused(files, store, tmp_path):
    test = get_split(store, "xsub").test
    few = write(tmp_path / "few.npz", store, test[:5], np.zeros((5, 3)))
    with pytest.raises(InputError, match=r"few.npz has 5 clips.*xsub has 24: it lacks 19 and has 0 others"):
        ensemble([files[0], few], store.path, "xsub", console=quiet())
    names = tuple(store.ids[row] for row in test)
    ScoreFile(names, store.labels[test], np.zeros((24, 3)), ("a", "b", "x")).save(tmp_path / "c.npz")
    with pytest.raises(InputError, match="3 classes.* has 3, and 'x' is not the same in both"):
        ensemble([tmp_path / "c.npz"], store.path, "xsub", console=quiet())
    ScoreFile(names, (store.labels[test] + 1) % 3, np.zeros((24, 3)), store.class_names).save(
        tmp_path / "l.npz"
    )
    with pytest.raises(InputError, match="other labels"):
        ensemble([tmp_path / "l.npz"], store.path, "xsub", console=quiet())
    for weights, said in (([1.0], "got 1"), ([1.0, -1.0], "at least 0"), ([0.0, 0.0], "one of them above")):
        with pytest.raises(InputError, match=said):
            ensemble(files, store.path, "xsub", weights=weights, console=quiet())
    with pytest.raises(InputError, match="did you mean 'softmax'"):
        ensemble(files, store.path, "xsub", combine="softmx", console=quiet())


def test_run_directories_and_pickles_through_the_command_line(run, files, store, tmp_path, capsys):
    test = get_split(store, "xsub").test
    path = score_path(run.path, "xsub", "classify")
    write(path, store, test, np.eye(3)[store.labels[test]])
    theirs = tmp_path / "epoch1_test_score.pkl"
    theirs.write_bytes(pickle.dumps({f"test_{i}": np.eye(3)[0] for i in range(len(test))}))
    order = tmp_path / "order.txt"
    order.write_text("\n".join(store.ids[row] for row in test))
    common = ["--data", str(store.path), "--protocol", "xsub", "--order", str(order)]
    out, numbers = tmp_path / "both.npz", tmp_path / "n.json"
    words = [
        str(run.path),
        str(theirs),
        *common,
        "--weights",
        "1,0.5",
        "--out",
        str(out),
        "--json",
        str(numbers),
    ]
    assert main(["ensemble", *words]) == 0
    result = json.loads(numbers.read_text())
    assert result["ensemble"]["top1"] == 1.0
    assert [f["weight"] for f in result["files"]] == pytest.approx([2 / 3, 1 / 3])
    assert load_scores(out).learned is None  # the pickle does not say
    assert "scores in" in capsys.readouterr().out
    rows = get_split(store, "xsub:fold1of2").test
    config = run.config | {"protocol": "xsub:fold1of2"}
    (run.path / "config.yaml").write_text(json.dumps(config))
    write(score_path(run.path, "xsub:fold1of2", "classify"), store, rows, np.eye(3)[store.labels[rows]])
    held_out = tmp_path / "held.pkl"
    held_out.write_bytes(pickle.dumps({store.ids[row]: np.eye(3)[1] for row in rows}))
    more = ["--search", "holdout", "--holdout", str(run.path), str(held_out), "--json", str(numbers)]
    assert main(["ensemble", str(run.path), str(theirs), *common, *more]) == 0
    found = json.loads(numbers.read_text())
    assert found["files"][0]["weight"] > found["files"][1]["weight"]
    assert found["holdout"]["not_known_whether_learned"] == ["held"]
    capsys.readouterr()
    assert main(["ensemble", *map(str, files), *common, "--weights", "1,x"]) == 2
    assert capsys.readouterr().err == "kinelex: error: --weights expects numbers such as 1,0.5,1, got '1,x'\n"
    assert main(["ensemble", *common]) == 2
    assert "scores" in capsys.readouterr().err
