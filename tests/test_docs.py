"""Every ``>>>`` example of the docs and the README runs, top to bottom, in a folder as they describe it."""

import doctest
import shutil
import sys
import types
from pathlib import Path
from unittest.mock import patch

import pytest

from kinelex.encoders.registry import ENCODERS
from kinelex.methods.registry import METHODS
from kinelex.training.registry import CALLBACKS
from kinelex.transforms.base import TRANSFORMS

ROOT = Path(__file__).resolve().parents[1]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PAGES = [
    p for p in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if ">>> " in p.read_text("utf-8")
]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_examples_run(page, acted, tmp_path, monkeypatch):
    shutil.copytree(acted.folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    lines = page.read_text("utf-8").splitlines()
    text = "\n".join("" if line.startswith("```") else line for line in lines)  # a fence ends the output
    test = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    module = types.ModuleType("page")  # as if it were a script: what it defines can be found by its name
    monkeypatch.setitem(sys.modules, "page", module)
    test.globs = module.__dict__
    assert test.examples
    said: list[str] = []
    with (
        patch.dict(ENCODERS),
        patch.dict(METHODS),
        patch.dict(TRANSFORMS),
        patch.dict(CALLBACKS),
    ):  # what a page registers is forgotten
        result = doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(test, out=said.append)
    assert result.failed == 0, "".join(said)


def test_the_python_api_has_a_page_with_examples():
    assert "python_api.md" in {page.name for page in PAGES}
