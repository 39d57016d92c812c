"""Options of engines by section: read from words and values, checked against constructors."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any

import pytest

from kinelex import cli
from kinelex.errors import InputError
from kinelex.prompts import EngineContext, PromptOptions, options_of, register, registry
from kinelex.prompts.registry import create, names, read_options, split_options


class Chatty:
    """Says what it was told.

    Args:
        context: the store.
        model: which model; a folder or a name.
        words: how many
            words.
    """

    name, version = "chatty", "1"

    def __init__(
        self,
        context: EngineContext,
        *,
        model: str = "small",
        words: int = 3,
        limit: float | None = None,
        views: tuple[str, ...] = (),
        file: Path | None = None,
        loud: bool = False,
    ) -> None:
        self.given = {
            "model": model,
            "words": words,
            "limit": limit,
            "views": views,
            "file": file,
            "loud": loud,
        }


class Shelf:
    """Encoders by name."""

    def __init__(self, *, model: str, size: int = 8) -> None:
        self.given = {"model": model, "size": size}


@pytest.fixture(autouse=True)
def chatty(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in list(registry.PARTS):
        monkeypatch.setitem(registry.PARTS, kind, copy(registry.PARTS[kind]))
    register("language engine", "chatty", Chatty)
    register("image encoder", "shelf:NAME", Shelf)


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"model": "123"}, "123"),
        ({"model": "null"}, "null"),
        ({"words": "7"}, 7),
        ({"words": 7}, 7),
        ({"limit": "1e-3"}, 1e-3),
        ({"limit": None}, None),
        ({"views": "front,side"}, ("front", "side")),
        ({"views": "front"}, ("front",)),
        ({"views": ["front", "side"]}, ("front", "side")),
        ({"file": "a/b.txt"}, Path("a/b.txt")),
        ({"file": Path("a/b.txt")}, Path("a/b.txt")),
        ({"loud": "true"}, True),
        ({"loud": False}, False),
    ],
)
def test_words_and_values_become_what_the_constructor_wants(given: dict[str, Any], value: Any) -> None:
    (key,) = given
    assert create("language engine", "chatty", EngineContext(), **given).given[key] == value


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"word": 3}, r"unknown option of language engine chatty 'word': did you mean 'words'\?"),
        ({"words": "many"}, r"language.words expects int, got 'many'"),
        ({"words": 1.5}, r"language.words expects int, got 1.5"),
        ({"limit": "high"}, r"language.limit expects float or none, got 'high'"),
        ({"loud": "perhaps"}, r"language.loud expects bool"),
        ({"context": "x"}, r"unknown option of language engine chatty 'context'"),
    ],
)
def test_wrong_options_are_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_options("language engine", "chatty", given)


def test_options_are_described_from_the_docstring() -> None:
    found = options_of("language engine", "chatty")
    assert list(found) == ["model", "words", "limit", "views", "file", "loud"]
    assert found["words"] == ("int", 3, "how many words.")
    assert found["views"][0] == "list of str"


def test_a_name_may_carry_the_model() -> None:
    assert create("image encoder", "shelf:resnet:9", size="4").given == {"model": "resnet:9", "size": 4}
    assert "shelf:NAME" in names("image encoder")
    register("image encoder", "shelf", Shelf)
    with pytest.raises(InputError, match="image encoder shelf cannot do without image_encoder.model=str"):
        create("image encoder", "shelf", size=4)
    with pytest.raises(InputError, match="unknown image encoder 'shlf:x'"):
        create("image encoder", "shlf:x")
    with pytest.raises(InputError, match="unknown image encoder 'timm': did you mean 'timm:NAME'"):
        create("image encoder", "timm")


def test_to_keep_none_is_to_keep_nothing() -> None:
    kept: tuple[Any, ...] = (("none",), "crops", ["tile", "crops", "tile"])
    found = [PromptOptions(Path("a"), Path("b"), vision="render", keep=keep).keep for keep in kept]
    assert found == [(), ("crops",), ("crops", "tile")]


def test_sections_of_words() -> None:
    words = ["text-encoder.model=a=b", "vision.image-size=96", "vision.views="]
    assert split_options(words) == {
        "text_encoder": {"model": "a=b"},
        "vision": {"image_size": "96", "views": ""},
    }
    with pytest.raises(InputError, match="unknown section of options 'visoin': did you mean 'vision'"):
        split_options(["visoin.size=3"])
    with pytest.raises(InputError, match=r"'image_size=96' means: expects options as SECTION.KEY=VALUE"):
        split_options(["image_size=96"])


def test_every_built_in_part_describes_its_options() -> None:
    for kind in registry.SECTIONS.values():
        for name in set(names(kind)) - {"chatty", "shelf:NAME"}:
            assert registry.title_of(kind, name), name
            for key, (spelled, _, text) in options_of(kind, name).items():
                assert spelled, (name, key)
                assert len(text) > 5, (name, key)


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    status = cli.main([str(w) for w in words])
    return status, capsys.readouterr().err


def test_the_command_line_refuses_what_it_does_not_know(
    small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "p.arrow"
    base = ("prompts", small_store, "--out", out, "--language", "kinematic")
    for words, message in (
        (["--image-size", "96"], "unknown option '--image-size'"),
        (["vision.image_size=96"], "options of vision are given, but no engine: name one with --vision"),
        (["--vision", "render", "vision.sise=96"], "unknown option of vision engine render 'sise'"),
        (["--vision", "render", "vision.image_size=x"], "vision.image_size expects int, got 'x'"),
        (["--shard", "0/4"], "--shard expects i/n with i from 1 to n"),
        (["--shard", "3"], "--shard expects i/n"),
        (["--merge", "--shard", "1/2"], "leave out --shard and --ray"),
        (["--keep", "tile"], "name a vision engine with --vision"),
        (["--vision", "render", "--keep", "tiles"], "unknown thing to keep of the pictures 'tiles'"),
        (["--vision", "render", "--keep", "tile", "--tile-size", "8"], "at least 32 pixels, got tile size 8"),
        (["--pictures", "video"], "kinematic looks at no recorded frames"),
        (["--workers", "2"], "together with a Ray cluster"),
    ):
        status, said = run(capsys, *base, *words)
        assert status == 2, words
        assert message in said
    assert run(capsys, "prompts", "--out", out, "--merge")[1].count("there is nothing to merge") == 1
    assert (
        "whose prompts? Name a skeleton store"
        in run(capsys, "prompts", "--out", out, "--language", "chatty")[1]
    )
    assert not list(tmp_path.glob("p.arrow*"))


def test_help_lists_the_engines_and_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["prompts", "--help"])
    said = capsys.readouterr().out
    for words in ("--language, with options as language.KEY=VALUE:", "kinematic", "image_size=int", "chatty"):
        assert words in said
