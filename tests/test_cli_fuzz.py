"""Whatever stands on the command line: a message and a status, never a traceback."""

import os

import pytest

from kinelex.cli import main

LONG = "x" * 300
ODD = {
    "nothing": [],
    "empty": [""],
    "empties": ["", "", ""],
    "space": [" "],
    "long": [LONG],
    "longer": ["y" * 10_000],
    "long change": [f"epochs={LONG}", f"{LONG}={LONG}"],
    "long option": [f"--{LONG}"],
    "no text": [os.fsdecode(b"\xff\xfe"), os.fsdecode(b"--\xff=\xfe")],
    "zero byte": ["a\0b"],
    "lines": ["a\nb", "--out", "c\nd"],
    "unicode": ["骨格/أ", "--out", "naïve 🦴.arrow"],
    "escape": ["\x1b[31mred", "[bold]x[/]", "[/nix]"],
    "dashes": ["-", "--", "---"],
    "equals": ["=", "==", "=a", "a=", "--=x"],
    "dots": [".", "..", "a.b=c", ".=", "..=x"],
    "twice": ["--out", "a", "--out", "b", "--json", "c", "--json", "d"],
    "unknown": ["--nix", "-x", "--nix=1"],
    "percent": ["%s %d %(x)s", "--out", "%n"],
    "braces": ["{}", "{0}", "epochs={", "epochs=[", "epochs=!!python/object:os.system", "epochs=&a [*a]"],
    "numbers": ["epochs=1e999", "epochs=99999999999999999999", "--seed", "9" * 5000],
    "no value": ["--out"],
    "response file": ["@nix"],
}
VERBS = (
    "predict",
    "events",
    "live",
    "count",
    "prepare",
    "info",
    "prompts",
    "prompts-report",
    "train",
    "evaluate",
    "compare",
    "ensemble",
    "adapt",
)
FREE = ("quickstart",)  # needs no words: where odd ones name a place for it, it is no mistake


@pytest.mark.parametrize("words", ODD.values(), ids=ODD)
@pytest.mark.parametrize("verb", [*VERBS, "study", "convert", "export-data", *FREE])
def test_odd_words(verb, words, tmp_path, monkeypatch, capsys):
    """Alone, and where the verb's own arguments are there too."""
    if verb in FREE and (not words or "--out" in words):
        pytest.skip("nothing is wrong with these")
    monkeypatch.chdir(tmp_path)
    first = {"prepare": "nw_ucla", "train": "c2vl", "study": "beta"}.get(verb, "nix")
    full = [first, "--data", "nix", "--protocol", "p", "--out", "o"]
    for given in (words,) if verb in FREE else (words, [*full, *words]):
        capsys.readouterr()
        assert main([verb, *given]) == 2
        stderr = capsys.readouterr().err
        assert "Traceback" not in stderr
        assert len(stderr.splitlines()) == 1
        assert stderr.startswith("kinelex: error: ")
        assert len(stderr) < 5000
    assert not list(tmp_path.iterdir())


VALUES = ("", os.fsdecode(b"\xff"), "a\0b", "-1", "1e999", "nan", "9" * 5000, "{", ",,,", "1/0", LONG)
OPTIONS = {
    "export-data": ("frames", "json", "out", "protocol", "to"),
    "convert": ("center", "classes", "from", "json", "layout", "out", "stream"),
    "ensemble": ("combine", "data", "holdout", "objective", "order", "protocol", "search", "task", "weights"),
}


@pytest.mark.parametrize("verb", OPTIONS)
def test_odd_values_of_options(verb, acted, tmp_path, monkeypatch, capsys):
    """On a store and a run that are there."""
    monkeypatch.chdir(tmp_path)
    base = {
        "export-data": [acted.store, "--to", "npy", "--out", "arrays"],
        "convert": [acted.store, "--from", "cmd", "--out", "converted"],
        "ensemble": [acted.run, "--data", acted.store, "--protocol", "xsub", "--out", "together"],
    }[verb]
    for option in OPTIONS[verb]:
        for value in VALUES:
            capsys.readouterr()
            status = main([verb, *map(str, base), f"--{option}={value}"])
            told = [line.startswith("kinelex: error: ") for line in capsys.readouterr().err.splitlines()]
            assert status in (0, 2), (option, value)
            assert sum(told) == (status == 2)
            assert status == 0 or told[-1]


@pytest.mark.parametrize("name", ["with space", "line\nbreak", "naïve 🦴", "[b]/x[/]"])
def test_odd_names_of_files_work(name, acted, tmp_path, capsys):
    folder = tmp_path / name
    store = folder / f"{folder.name}.arrow"
    assert main(["prepare", "actors", "--clips", "24", "--out", str(store), "--json", str(folder / "n")]) == 0
    assert main(["info", str(store), "--html", str(folder / f"{folder.name}.html")]) == 0
    words = ["export-data", str(store), "--to", "pyskl", "--out", str(folder / "a.pkl")]
    assert main(words) == 0
    assert main(["info", str(folder / "nix")]) == 2
    (message,) = capsys.readouterr().err.splitlines()[-1:]
    assert "nix does not exist" in message


def test_a_name_that_is_no_text_is_refused(tmp_path, capsys):
    place = str(tmp_path / os.fsdecode(b"\xff.arrow"))
    assert main(["prepare", "actors", "--clips", "24", "--out", place]) == 2
    assert "expects a name in UTF-8" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_password_is_shown_nowhere(acted, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "")
    url = "language.base_url=ftp://me:hunter2@host/v1"
    base = ["prompts", str(acted.store), "--language", "openai", "--out", str(tmp_path / "p.arrow")]
    for words in (
        [url],
        [url, url],
        [f"language.base_url={url}", "--pictures", "render"],
    ):
        assert main([*base, "language.model=m", *words]) == 2
        told = capsys.readouterr()
        assert "hunter2" not in told.out + told.err
