"""Clips found by words and by examples: what is near comes first, and words that say nothing are told."""

import shutil

import numpy as np
import pytest

import kinelex
from kinelex.cli import main
from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.errors import InputError
from kinelex.inference import search as module
from kinelex.inference.features import extract_features
from kinelex.inference.search import SearchIndex
from kinelex.inference.vectors import NearestRows, unit_rows
from kinelex.prompts import registry


@pytest.fixture
def run(acted, tmp_path):
    return shutil.copytree(acted.run, tmp_path / "run")


class Letters:
    """A text encoder: a text is the mean of its letters."""

    name, version = "drawn", "1"

    def encode(self, texts):
        letters = np.random.default_rng(0).normal(size=(26, 8))
        rows = [sum((letters[ord(c) % 26] for c in text), np.zeros(8)) / len(text) for text in texts]
        return np.stack([row * (text != "hm") for text, row in zip(texts, rows, strict=True)])


@pytest.fixture
def letters(monkeypatch):
    monkeypatch.setitem(registry.PARTS[registry.TEXT_ENCODER], "drawn", Letters)


def test_the_nearest_rows_are_those_of_a_plain_loop_even_around_a_large_mean():
    rng = np.random.default_rng(0)
    rows = 5 + 1e-2 * rng.normal(size=(200, 16))
    rows[7] = 0
    index = NearestRows(rows)
    for query in (rows[3], 5 + 1e-2 * rng.normal(size=16)):
        unit, own = unit_rows(rows), unit_rows(query)
        wanted = np.array([float(own @ row) for row in unit])
        places, cosines = index.nearest(query, 20)
        assert places.tolist() == np.argsort(-wanted, kind="stable")[:20].tolist()
        np.testing.assert_allclose(cosines, wanted[places], atol=1e-9)
    assert len(index.nearest(rows[0], 500)[0]) == 200
    assert index.nearest(rows[0], 200)[0][-1] == 7


def test_clips_like_one_of_the_store_and_like_the_same_file(acted, run, tmp_path):
    store = open_store(acted.store)
    found = kinelex.search(store, run=run, clip=store.ids[4], top=5)
    (encoder,) = [kinelex.load_encoder(run)]
    features = unit_rows(extract_features(encoder, store, np.arange(len(store))))
    order = [row for row in np.argsort(-(features @ features[4]), kind="stable") if row != 4][:5]
    assert [hit.row for hit in found.hits] == order
    assert found.hits[0].label == store.class_names[store.labels[order[0]]]
    np.save(tmp_path / "one.npy", store.sequence(4)[:, 0])
    options = ["--layout", "ntu25", "--fps", "30", "--csv", str(tmp_path / "f.csv")]
    page = tmp_path / "p.html"
    words = ["search", str(acted.store), "--run", str(run), "--like", str(tmp_path / "one.npy")]
    assert main([*words, *options, "--out", str(page), "--top", "3"]) == 0
    rows = (tmp_path / "f.csv").read_text().splitlines()
    assert rows[0] == "rank,row,id,label,similarity"
    assert rows[1].split(",")[2] == store.ids[4]  # itself is in the store
    assert page.read_text().count('<figure class="player">') == 4  # with what was searched for


def test_the_index_is_kept_and_made_anew_for_another_store(acted, run, tmp_path, monkeypatch):
    store = open_store(acted.store)
    before = SearchIndex(store, run).by_clip(0)
    calls = []
    extract = module.stored_features.__globals__["Model"].features
    monkeypatch.setattr(
        module.stored_features.__globals__["Model"],
        "features",
        lambda *args: calls.append(len(args[2])) or extract(*args),
    )
    assert SearchIndex(store, run).by_clip(0) == before
    assert calls == []
    other = tmp_path / "other.arrow"
    with SkeletonStoreWriter(other, StoreMeta("actors", store.layout, store.class_names)) as writer:
        for row in range(10):
            clip = np.array(store.sequence(row)) * (1.2 if row else 1)
            writer.add(Sequence(store.ids[row], clip, int(store.labels[row])))
    again = SearchIndex(other, run).by_clip(0)
    assert calls == [10]
    assert [hit.similarity for hit in again.hits] != [hit.similarity for hit in before.hits]


@pytest.mark.usefixtures("letters")
def test_words_find_clips_in_the_space_of_the_run(acted, run, monkeypatch):
    index = SearchIndex(acted.store, run, acted.prompts)
    found = index.by_words("  raises   both hands", 7)
    assert found.query == "raises both hands"
    similar = [hit.similarity for hit in found.hits]
    assert similar == sorted(similar, reverse=True)
    assert len(similar) == 7
    monkeypatch.setattr(index, "_chance", 2.0)
    assert "say little to the run" in index.by_words("raises both hands").note
    monkeypatch.setattr(index, "_chance", -2.0)
    assert index.by_words("raises both hands").note == ""


@pytest.mark.usefixtures("letters")
def test_wrong_input_is_one_message(acted, run, tmp_path, capsys):
    store = ["search", str(acted.store)]
    plain = shutil.copytree(run, tmp_path / "plain")
    (plain / "projectors.safetensors").unlink()
    np.save(tmp_path / "a.npy", np.ones((5, 25, 3)))
    (tmp_path / "two").mkdir()
    for name in "ab":
        np.save(tmp_path / "two" / f"{name}.npy", 0.3 * np.random.default_rng(0).normal(size=(5, 25, 3)))
    for words, said in (
        (["waves", "--run", str(plain)], r"runs of c2vl with language prompts have one (beside it: run)"),
        (["--run", str(run)], "one of them"),
        (["waves", "--clip", "a", "--run", str(run)], "one of them"),
        (["--clip", "nobody", "--run", str(run)], "has no clip 'nobody'"),
        (["?!", "--run", str(run)], "expects words that say what a body does"),
        (["hm", "--run", str(run)], "says nothing to the text encoder"),
        (["waves", "--run", str(run), "--top", "0"], "expects to find 1 clip or more"),
        (["waves", "--run", str(run), "--fps", "30"], "says how --like is read"),
        (["--like", str(tmp_path / "two"), "--layout", "ntu25", "--run", str(run)], "has 2 clips"),
        (["waves", "--run", str(tmp_path)], "is no run directory"),
    ):
        assert main([*store, *words]) == 2, words
        error = capsys.readouterr().err
        assert said in error.replace("\n", " "), error
        assert "Traceback" not in error
    with pytest.raises(InputError, match="expects a run, and one of"):
        kinelex.search(acted.store, "waves", run=run, clip=3)
