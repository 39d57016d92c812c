"""A place for --json that cannot be written to: one message, before the work."""

import inspect
import typing
from pathlib import Path

import pytest

from kinelex.cli import VERBS, main
from kinelex.cli.parser import verb_name


@pytest.mark.parametrize("verb", VERBS, ids=verb_name)
def test_numbers_that_could_not_be_written_are_refused_before_the_work(verb, tmp_path, monkeypatch, capsys):
    """Neither a right that is shown but not given (/proc for root) nor a place that is none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    types = typing.get_type_hints(verb)
    words = [verb_name(verb)]
    for parameter in inspect.signature(verb).parameters.values():
        name = parameter.name.rstrip("_")
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            words.append("actors" if verb_name(verb) == "prepare" else "nix")
        elif parameter.default is parameter.empty and parameter.kind is parameter.KEYWORD_ONLY:
            words += [f"--{name}", "3" if types[parameter.name] is int else "nix"]
    places = {"file/r.json": "is a file, expects a directory", ".": "is a directory", "n" * 300: "too long"}
    if Path("/proc/self").exists():
        places |= {"/proc/r.json": "/proc is not writable", "/proc/made/r.json": "/proc is not writable"}
    for place, said in places.items():
        assert main([*words, "--json", place]) == 2
        (message,) = capsys.readouterr().err.splitlines()
        assert message.startswith(f"kinelex: error: --json {place}")
        assert said in message
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
