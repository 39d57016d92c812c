"""The page of a prompt report: what it reads, what it shows, what it refuses."""

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from kinelex.cli import main
from kinelex.data import (
    WHOLE_CLIP,
    ClipPrompts,
    ModalityPrompts,
    PromptMeta,
    PromptStoreWriter,
    open_prompts,
    tile_pictures,
    write_jpeg,
)
from kinelex.errors import InputError
from kinelex.evaluation import prompt_probe
from kinelex.reports.prompts import prompts_report
from kinelex.reports.prompts.clips import clips_of, split_clips
from kinelex.reports.prompts.examples import choose_clips
from kinelex.reports.prompts.figures import class_heat_map, length_histogram
from kinelex.reports.prompts.report import short_names

ENGINES = {
    "language": {"engine": {"name": "vlm", "model": "some/model"}, "encoder": {"name": "minilm"}},
    "vision": {"engine": {"name": "grounding_dino"}, "encoder": {"name": "clip"}},
}
COST = {
    "language": {"seconds": 96.0, "clips": 48, "tokens": 480, "prompt_tokens": 4800},
    "vision": {"seconds": 12.0, "clips": 48},
}


def clip_prompts(clip, label, rng, keep=()):
    """Texts tell class 0 and 1 from 2, pictures 0 from 1; the second picture is flagged in class 2."""
    words = 3 * np.eye(6)[2 * (label == 2)] + 0.3 * rng.normal(size=(3, 6))
    texts = [f"He is <b>at</b> {clip}.", "", "He moves his $arms$ all the time."]
    language = ModalityPrompts(np.array([0, 5, WHOLE_CLIP]), words, texts)
    looks = 3 * np.eye(5)[int(label == 1)] + 0.3 * rng.normal(size=(2, 5))
    vision = ModalityPrompts(np.array([0, 7]), looks, None, np.zeros((2, 4)), np.array([False, label == 2]))
    images = np.full((2, 40, 20, 3), 90 + 60 * int(label), np.uint8)
    vision.crops = [write_jpeg(image) for image in images] if "crops" in keep else None
    vision.tile = write_jpeg(tile_pictures(images, 64)) if "tile" in keep else None
    return ClipPrompts(clip, language, vision)


@pytest.fixture
def write(store, tmp_path):
    def make(name="p", keep=(), ids=None, labels=None, meta=None, without=(), seed=0):
        rng = np.random.default_rng(seed)
        ids, labels = (store.ids, store.labels) if ids is None else (ids, labels)
        about = PromptMeta("tiny", store.fingerprint, ENGINES, {"language": 6, "vision": 5}, keep, COST)
        path = tmp_path / f"{name}.arrow"
        with PromptStoreWriter(path, about if meta is None else meta) as writer:
            for clip, label in reversed(
                list(zip(ids, labels, strict=True))
            ):  # another order than the store's
                prompts = clip_prompts(clip, label, rng, keep)
                writer.add(ClipPrompts(clip) if clip in without else prompts)
        return path

    return make


class Page(HTMLParser):
    """Which elements stand open, and what is fetched from elsewhere."""

    def __init__(self):
        super().__init__()
        self.open, self.outside, self.ids, self.links = [], [], [], []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag not in ("meta", "img", "br", "path", "use", "image", "rect", "circle"):
            self.open.append(tag)
        self.ids += [values["id"]] if "id" in values and tag in ("h2", "section") else []
        for key in ("src", "href", "xlink:href"):
            value = values.get(key) or ""
            self.links += [value[1:]] if tag == "a" and value.startswith("#") else []
            if value and not value.startswith(("#", "data:")):
                self.outside.append(value)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in ("path", "use", "image", "rect", "circle"):
            assert self.open.pop() == tag


def read(path):
    text = path.read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.outside == []
    assert set(page.links) <= set(page.ids)
    assert not re.search(r"@import|<script|url\((?!#)", text)
    for figure in re.findall(r'<svg class="figure".*?</svg>', text, re.DOTALL):
        ElementTree.fromstring(figure.replace("xlink:href", "href"))
        assert not re.search(r"#(1d2733|66727f|1f5fa8)", figure)  # the page's colours, light or dark
    return text


def test_probes_are_those_of_evaluate(store, write, tmp_path):
    path = write(without=("clip3", "clip40"))
    found = prompts_report([path], store.path, "xsub", tmp_path / "r.html", tmp_path / "r.json")
    train = np.flatnonzero(store.subjects % 2 == 1)
    test = np.flatnonzero(store.subjects % 2 == 0)
    assert (found["protocol"], found["train"], found["test"]) == ("xsub", len(train), len(test))
    expected = prompt_probe(store, open_prompts(path), train, test)
    mine = found["stores"][0]["linear"]
    for m in ("language", "vision", "both"):
        assert mine[m]["top1"] == expected[f"prompt_probe_{m}"].top1
        assert mine[m]["test"] == expected[f"prompt_probe_{m}"].details["test"]
    assert mine["both"]["top1"] == 1 > mine["language"]["top1"] > 0.5
    assert found["baselines"]["chance"] == pytest.approx(1 / 3)
    vision = found["stores"][0]["modalities"]["vision"]
    assert (vision["present"], vision["missing"]) == (46, 2)
    flagged = [0.5 * (label == 2) for clip, label in zip(store.ids, store.labels, strict=True) if clip not in
               ("clip3", "clip40")]  # fmt: skip
    assert vision["flagged"] == pytest.approx(np.mean(flagged))
    assert vision["cost_per_clip"] == {"seconds": 0.25}
    language = found["stores"][0]["modalities"]["language"]
    assert language["cost_per_clip"] == {"seconds": 2, "tokens": 10, "prompt_tokens": 100}
    assert language["answers"]["answers"] == 3 * 46
    assert language["answers"]["empty"] == pytest.approx(1 / 3)
    assert found["stores"][0]["mismatches"]["compared"] == 46
    assert json.loads((tmp_path / "r.json").read_text()) == json.loads(json.dumps(found))
    text = read(tmp_path / "r.html")
    assert "* both: on the 23 of 24 test clips that have them." in text
    assert "some/model" in text
    assert "Protocol xsub." in text
    assert "<b>at</b>" not in text  # what a model wrote is no markup
    assert "&lt;b&gt;at&lt;/b&gt;" in text
    assert text.count('class="strip"') >= 3 * 2  # no pictures kept: skeletons in the frames of the texts
    assert "keeps no pictures" in text
    assert "tokens read a clip" in text
    assert "price a clip" not in text


@pytest.mark.parametrize("keep", [("tile",), ("crops", "tile")])
def test_kept_pictures_are_shown(store, write, tmp_path, keep):
    prompts_report([write(keep=keep)], store.path, "xsub", tmp_path / "r.html")
    text = read(tmp_path / "r.html")
    pictures = re.findall(r'<img src="data:image/jpeg;base64,[^"]*" width="(\d+)" height="(\d+)"', text)
    crops = "crops" in keep
    assert len(pictures) >= (6 if crops else 3)
    assert set(pictures) == {("20", "40") if crops else ("64", "64")}  # not made larger
    assert 'class="strip"' not in text
    assert ("no person found" in text) == crops
    assert "keeps no pictures" not in text


def test_several_stores_side_by_side(store, write, tmp_path):
    first = write("one")
    about = open_prompts(first).meta
    labels = {"language": {"engine": {"name": "classes", "uses_labels": True}}, "vision": {}}
    second = write("two", ("crops",), meta=replace(about, engines=labels, kept=("crops",), cost={}), seed=1)
    found = prompts_report([first, second], store.path, None, tmp_path / "r.html")
    assert [s["name"] for s in found["stores"]] == ["one", "two"]
    assert [s["uses_labels"] for s in found["stores"]] == [False, True]
    text = read(tmp_path / "r.html")
    assert "two was written from the classes themselves" in text
    assert "one was written" not in text
    assert "No protocol was given" in text
    assert "<h4>one</h4>" in text
    assert 'class="strip"' in text
    assert "data:image/jpeg" in text
    assert found["stores"][0]["linear"] != found["stores"][1]["linear"]


def test_stores_of_one_name_are_told_apart():
    paths = [Path(p) for p in ("a/p.arrow", "b/p.arrow", "a/q.arrow")]
    assert short_names(paths) == ["a/p", "b/p", "q"]
    assert short_names([Path("a/p.arrow"), Path("x/a/p.arrow")]) == ["a/p (1)", "a/p (2)"]


@pytest.fixture
def pku(write):
    """Texts alone, without a skeleton store: 12 clips of each of 3 classes, each in 3 views."""
    ids = [f"A001N{s:03}V{v:03}C{c:03}L001" for c in (4, 10, 48) for s in range(1, 5) for v in (1, 2, 3)]
    labels = [int(i[13:16]) % 3 for i in ids]  # 1, 1, 0: two of them are alike
    meta = PromptMeta("pku", None, {}, {"language": 6, "vision": 5})
    return write("pku", ids=ids, labels=labels, meta=meta)


def test_classes_are_read_from_the_ids_of_pku(pku, tmp_path):
    prompts = open_prompts(pku)
    clips = clips_of([prompts])
    assert clips.classes.tolist() == [3, 9, 47]
    assert clips.class_names[47] == "wear jacket"
    assert set(clips.subjects) == {1, 2, 3, 4}
    found = prompts_report([pku], out=tmp_path / "r.html")
    assert (found["clips"], found["classes"], found["protocol"]) == (36, 3, "random:0.8:0")
    assert (found["train"], found["test"]) == (30, 6)  # 80 % of 12 is 9.6
    assert found["baselines"]["chance"] == pytest.approx(1 / 3)
    text = read(tmp_path / "r.html")
    assert "wear jacket" in text
    assert 'class="strip"' not in text
    assert "does not say what making it took" in text


def test_the_random_split_is_stratified_and_by_seed(pku):
    clips = clips_of([open_prompts(pku)])
    name, train, test = split_clips(clips, None, 3)
    assert name == "random:0.8:3"
    assert sorted([*train, *test]) == list(range(36))
    assert np.bincount(clips.labels[test])[[3, 9, 47]].tolist() == [2, 2, 2]
    assert np.array_equal(train, split_clips(clips, None, 3)[1])
    assert not np.array_equal(train, split_clips(clips, None, 4)[1])


def test_clips_of_unknown_classes_still_have_a_page(write, tmp_path):
    meta = PromptMeta("own", None, {}, {"language": 6, "vision": 5})
    path = write("own", ids=[f"x{i}" for i in range(20)], labels=[0] * 20, meta=meta)
    found = prompts_report([path], json_path=tmp_path / "r.json")
    assert (found["protocol"], found["classes"], found["baselines"]) == (None, 0, {})
    assert found["stores"][0]["linear"] == {}
    assert found["stores"][0]["modalities"]["language"]["answers"]["answers"] == 60
    text = read(path.with_suffix(".html"))
    assert "The classes of these clips are not known" in text
    assert "Agreement within a clip" in text
    assert "no class" in text


def test_examples_are_one_of_each_class_and_fit_on_the_page(pku):
    clips = clips_of([open_prompts(pku)])
    present = np.ones(36, bool)
    present[clips.labels == 9] = False
    assert clips.labels[choose_clips(clips, present, 1)].tolist() == [3, 47]
    many = replace(clips, labels=np.arange(36))
    assert len(choose_clips(many, np.ones(36, bool), 1)) == 36
    assert len(choose_clips(many, np.ones(36, bool), 5)) == 13


def test_names_with_signs_are_written_as_they_are():
    words = length_histogram({"_one": [0, 3, 2], "t$w$o": [1, 2]}, 60)
    assert "_one" in words
    assert "t$w$o" in words
    assert "<x>&$a$" in unescape(class_heat_map(np.eye(2), ["<x>&$a$", "b"]))


def test_lengths_of_many_stores_are_all_drawn():
    figure = length_histogram({f"store {i}": [1, 2, 3] for i in range(10)}, 60)
    assert all(f"store {i}" in figure for i in range(10))


def test_most_of_an_endless_answer_is_left_out(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "endless.arrow"
    with PromptStoreWriter(path, PromptMeta("own", None, {}, {"language": 3})) as writer:
        for i in range(6):
            texts = ["word " * 50_000]
            writer.add(ClipPrompts(f"x{i}", ModalityPrompts(np.array([2]), rng.normal(size=(1, 3)), texts)))
    found = prompts_report([path])
    assert found["stores"][0]["modalities"]["language"]["answers"]["long"] == 1
    assert path.with_suffix(".html").stat().st_size < 100_000


def test_what_does_not_fit_is_refused(store, write, pku, acted, tmp_path):
    mine, out = write("mine"), tmp_path / "r.html"
    with pytest.raises(InputError, match="was made for another store"):
        prompts_report([acted.prompts], store.path, out=out)
    with pytest.raises(InputError, match=r"made without a store, \d+ clips of .* are lacking, the first is"):
        prompts_report([pku], store.path, out=out)
    with pytest.raises(InputError, match="differ in 84 clips"):
        prompts_report([mine, pku], out=out)
    with pytest.raises(InputError, match=r"--protocol xsub needs the skeleton store too"):
        prompts_report([pku], protocol="xsub", out=out)
    with pytest.raises(InputError, match="expects a prompt store"):
        prompts_report([store.path], out=out)
    with pytest.raises(InputError, match="expects one prompt store or more"):
        prompts_report([])
    for target in (tmp_path, mine, mine / "r.html"):
        with pytest.raises(InputError, match="expects|cannot be written"):
            prompts_report([mine], store.path, out=target)
    assert not out.exists()
    assert open_prompts(mine).ids  # still there


def test_from_the_command_line(store, write, tmp_path, capsys):
    first, second = write("one"), write("two", seed=1)
    out, numbers = tmp_path / "made" / "r.html", tmp_path / "n.json"
    given = [first, second, "--data", store.path, "--protocol", "xsub", "--out", out, "--json", numbers]
    assert main(["prompts-report", *map(str, given)]) == 0
    shown = capsys.readouterr().out
    assert "xsub: 24 training and 24 test clips of 3 classes" in " ".join(shown.split())
    assert shown.count("texts") == 2
    assert str(out) in shown.replace("\n", "")
    assert len(json.loads(numbers.read_text())["stores"]) == 2
    assert main(["prompts-report", str(first), "--data", str(store.path), "--protocol", "xview"]) == 2
    assert main(["prompts-report"]) == 2
    assert "the following arguments are required: prompts" in capsys.readouterr().err
