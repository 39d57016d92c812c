"""The release check finds the first commands of every page, and they can be typed as they stand."""

import re
import runpy
from pathlib import Path

import pytest

CHECK = runpy.run_path(str(Path(__file__).resolve().parents[1] / "benchmarks" / "release_check.py"))
PAGES = {CHECK["name_of"](page): page for page in CHECK["pages"]()}
WORDS = {"api/index", "changelog", "index", "python_api", "vocabulary"}  # need no command


@pytest.mark.parametrize("name", PAGES)
def test_the_first_commands_can_be_typed(name):
    commands = CHECK["first_commands"](PAGES[name])
    if commands is None:
        assert name in WORDS
        return
    if name not in CHECK["NEEDS"]:
        assert not re.search(r"\b(STORE|RUN|FOLDER|PROMPTS|SOURCE|FILE|DIR)\b", commands), commands
        assert "path/to" not in commands


def test_what_is_said_to_be_needed_is_a_page():
    assert set(CHECK["NEEDS"]) <= set(PAGES)
