"""The notebooks of the gallery run from top to bottom and end in pictures."""

import ast
import re
from pathlib import Path
from unittest.mock import patch

import pytest

from kinelex.encoders.registry import ENCODERS
from kinelex.transforms.base import TRANSFORMS

GALLERY = Path(__file__).resolve().parents[1] / "docs" / "gallery"
NOTEBOOKS = sorted(path for path in GALLERY.glob("*.md") if path.stem != "index")
CELL = re.compile(r"^```\{code-cell\} python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def run_cell(code: str, names: dict) -> None:
    """Run a cell, and let what its last line gives show itself, as a notebook does."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    if last is not None:
        shown = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
        getattr(shown, "_repr_html_", shown.__repr__)()


@pytest.mark.parametrize("page", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_ends_in_a_picture(page, tmp_path, monkeypatch):
    """In this process: a kernel for each notebook would import everything anew."""
    import matplotlib.pyplot as plt

    cells = CELL.findall(page.read_text("utf-8"))
    assert "plt.subplots" in cells[-1] or "plt.subplots" in cells[-2] or ".clip(" in cells[-1]
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MY_VIDEO", raising=False)
    plt.switch_backend("agg")
    names = {"__name__": "notebook"}
    with patch.dict(ENCODERS), patch.dict(TRANSFORMS):  # what a page registers is forgotten
        for cell in cells:
            run_cell(cell, names)
    assert plt.get_fignums(), "a notebook ends in pictures"
    plt.close("all")


def test_every_notebook_is_in_the_list():
    index = (GALLERY / "index.md").read_text("utf-8")
    assert len(NOTEBOOKS) >= 10
    assert all(f"({page.name})" in index for page in NOTEBOOKS)
