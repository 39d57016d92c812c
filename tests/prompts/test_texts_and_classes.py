"""Language engines ``texts``, which reads what others wrote, and ``classes``, which reads labels."""

from __future__ import annotations

import json
import zipfile
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prompt_fakes import FakeText

from kinelex.data import open_prompts, open_store
from kinelex.data.clip_prompts import StorePrompts
from kinelex.errors import InputError
from kinelex.prompts import EngineContext, create, make_prompts, register, registry

SAID = {f"clip{i}": [f"Text {k} of clip {i}." for k in range(4)] for i in range(70)}


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    known = copy(registry.PARTS["text encoder"])
    monkeypatch.setitem(registry.PARTS, "text encoder", known)
    register("text encoder", "fake_text", FakeText)
    FakeText.seen, FakeText.calls_left = [], -1


def make(store: Path | None, out: Path, source: Path, **options: Any) -> Any:
    settings: dict[str, Any] = {"language": "texts", "text_encoder": "fake_text", "progress": False}
    return make_prompts(store, out, source=source, **{**settings, **options})


def zipped(path: Path, **files: object) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"folder/{name}.json", json.dumps(content))
    return path


def test_texts_without_a_store_and_training_by_ids(small_store: Path, tmp_path: Path) -> None:
    backwards = dict(reversed(SAID.items()))
    source = zipped(
        tmp_path / "said.zip", a=dict(list(backwards.items())[:30]), b=dict(list(backwards.items())[30:])
    )
    out = tmp_path / "p.arrow"
    summary = make(None, out, source)
    assert summary.clips == 70
    prompts, store = open_prompts(out), open_store(small_store)
    assert prompts.ids == list(backwards)
    assert (prompts.meta.store_fingerprint, prompts.meta.dataset) == (None, "said")
    language = prompts.clip("clip7").language
    assert language is not None
    assert language.texts == SAID["clip7"]
    assert language.frames.tolist() == [0, 1, 2, 3]
    assert prompts.belongs_to(store)
    table = StorePrompts(prompts, store, ("language",))
    assert table.embedded["language"].frame[7].tolist() == language.embeddings.tolist()
    # Different texts: each embedded once, as a whole.
    assert sorted(FakeText.seen) == sorted(t for clip in SAID.values() for t in clip)


def test_prompts_without_a_store_lack_a_clip(small_store: Path, tmp_path: Path) -> None:
    source = tmp_path / "said.json"
    source.write_text(json.dumps({k: v for k, v in SAID.items() if k != "clip3"}))
    make(None, tmp_path / "p.arrow", source)
    prompts, store = open_prompts(tmp_path / "p.arrow"), open_store(small_store)
    assert not prompts.belongs_to(store)
    with pytest.raises(InputError, match=r"lacks 1 clips of .*, the first is clip3"):
        StorePrompts(prompts, store, ("language",))
    # Made with the store the clip is there, without a text.
    summary = make(small_store, tmp_path / "with.arrow", source)
    assert summary.missing == {"language": 1}
    frames = open_prompts(tmp_path / "with.arrow").clip("clip49").language
    assert frames is not None
    assert frames.frames.tolist() == [6, 18, 31, 43]


def test_fewer_or_more_texts_are_spread(tmp_path: Path) -> None:
    source = tmp_path / "said.json"
    source.write_text(json.dumps({"a": list("abcdefgh"), "b": ["x", "y"], "c": "one"}))
    engine = create("language engine", "texts", EngineContext(source=source))
    assert engine.default_frames == 8
    assert engine.texts(1, np.arange(8)).frames == ["x"] * 4 + ["y"] * 4
    assert engine.texts(0, np.arange(4)).frames == list("bdfh")
    assert engine.texts(2, np.arange(2)).frames == ["one", "one"]


def test_half_a_sign_is_no_reason_to_stop(tmp_path: Path) -> None:
    source, out = tmp_path / "said.json", tmp_path / "p.arrow"
    source.write_text('{"clip0": ["He waves \\ud83d", "He nods."]}')
    make(None, out, source)
    assert open_prompts(out).texts() == [["He waves ?", "He nods."]]


def test_other_texts_are_another_run(tmp_path: Path) -> None:
    source, out = tmp_path / "said.json", tmp_path / "p.arrow"
    source.write_text(json.dumps(SAID))
    make(None, out, source)
    source.write_text(json.dumps({**SAID, "clip0": ["changed"] * 4}))
    with pytest.raises(InputError, match="other settings: language.engine.content was"):
        make(None, out, source)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        ("{", "is no JSON"),
        ("[]", "expects a JSON object of clip ids"),
        ("{}", "expects a JSON object of clip ids"),
        ('{"a": []}', r"clip a: expects .* got '\[\]'"),
        ('{"a": ["x", 3]}', "clip a: expects"),
        ('{"a": {"b": "c"}}', "clip a: expects"),
        ('{"a": null}', "clip a: expects"),
        ('{"clip0": ""}', "clip clip0: text 1 is empty, which says nothing about the clip: leave it out"),
        ('{"clip0": ["He sits.", " \\n"]}', "clip clip0: text 2 is empty"),
        ('{"other": ["x"]}', "has no texts for any clip of .*: its first id is other, the store's is clip0"),
    ],
)
def test_files_of_another_form(small_store: Path, tmp_path: Path, content: str | None, message: str) -> None:
    source = tmp_path / "said.json"
    if content is not None:
        source.write_text(content)
    with pytest.raises(InputError, match=message):
        make(small_store, tmp_path / "p.arrow", source)
    assert not list(tmp_path.glob("p.arrow*"))


def test_zips_of_another_form(tmp_path: Path) -> None:
    empty = zipped(tmp_path / "empty.zip")
    with pytest.raises(InputError, match=r"holds no .json file"):
        make(None, tmp_path / "p.arrow", empty)
    twice = zipped(tmp_path / "twice.zip", a={"x": ["1"]}, b={"x": ["2"]})
    with pytest.raises(InputError, match="clip x has other texts in another file"):
        make(None, tmp_path / "p.arrow", twice)
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(bytearray(twice.read_bytes()).replace(b'"1"', b'"7"'))
    with pytest.raises(InputError, match="cannot be unpacked"):
        make(None, tmp_path / "p.arrow", damaged)
    damaged.write_bytes(twice.read_bytes()[:-30])
    with pytest.raises(InputError, match="cannot be unpacked: its end is missing"):
        make(None, tmp_path / "p.arrow", damaged)
    with pytest.raises(InputError, match="name it with --source FILE"):
        create("language engine", "texts", EngineContext())


def test_classes_by_name_and_description(small_store: Path, tmp_path: Path) -> None:
    about = tmp_path / "classes.yaml"
    about.write_text("a: [He draws., He paints.]\n")
    out = tmp_path / "p.arrow"
    options = {"language": {"descriptions": about, "template": "{name}: {text}"}}
    make_prompts(small_store, out, "classes", text_encoder="fake_text", options=options, progress=False)
    prompts = open_prompts(out)
    assert prompts.texts()[:2] == [["a: He draws.", "a: He paints."], ["b: b", "b: b"]]  # labels 0, 1, ...
    assert prompts.meta.uses_labels
    plain = create("language engine", "classes", EngineContext(open_store(small_store)))
    assert plain.texts(1, np.arange(1)).frames == ["b"]


@pytest.mark.parametrize(
    ("content", "template", "message"),
    [
        ("c: He sits.", "{text}", "unknown class in .*'c'"),
        ("a: 3", "{text}", "class a: expects a text or a list of texts, got 3"),
        ("just words", "{text}", "expects a YAML file of class names and texts"),
        ("a: [", "{text}", "cannot be read"),
        (
            "a: He sits.",
            "{label}",
            r"language.template expects \{text\} or \{name\} in braces, got '\{label\}'",
        ),
        ("a: He sits.", "{text.foo}", r"got '\{text.foo\}'"),
        ("a: He sits.", "{text[foo]}", r"got '\{text\[foo\]\}'"),
        ("a: He sits.", "A person.", "got 'A person.': all classes would get the same text"),
    ],
)
def test_wrong_classes(small_store: Path, tmp_path: Path, content: str, template: str, message: str) -> None:
    about = tmp_path / "classes.yaml"
    about.write_text(content)
    context = EngineContext(open_store(small_store))
    with pytest.raises(InputError, match=message):
        create("language engine", "classes", context, descriptions=about, template=template)


def test_the_texts_that_the_authors_released(shared: Path) -> None:
    source = shared / "data" / "c2vl_prompts" / "pkuv2_language.zip"
    engine = create("language engine", "texts", EngineContext(source=source))
    assert (len(engine.ids), engine.default_frames, engine.dataset) == (6952, 16, "pkuv2_language")
    texts = [engine.texts(row, np.arange(16)).frames for row in range(6952)]
    assert len({t for clip in texts for t in clip}) == 47529
    assert (
        texts[0][0]
        == "He is standing and holding a remote in his hand. He is trying to get the remote to work."
    )
