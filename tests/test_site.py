"""The site: every link leads somewhere, and its table of recipes is what the recipes and the results say."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def test_every_link_and_page_is_there(tmp_path):
    """The pages without the API; `make docs` builds all of it."""
    pytest.importorskip("furo", reason="the extra 'docs' is not installed")
    command = [sys.executable, "-m", "sphinx", "-W", "-n", "--keep-going", "-q", "-t", "pages", "-b", "dummy"]
    done = subprocess.run([*command, str(DOCS), str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_table_of_recipes_is_fresh_and_its_numbers_stand_in_the_results():
    table = runpy.run_path(str(ROOT / "benchmarks" / "recipes_table.py"))
    assert (DOCS / "recipes.md").read_text("utf-8") == table["page"](), "run benchmarks/recipes_table.py"
    results = (DOCS / "results.md").read_text("utf-8")
    for name, measured in yaml.safe_load((DOCS / "recipes.yaml").read_text("utf-8")).items():
        for number in re.findall(r"\d+\.\d(?: ± \d+\.\d)?", measured["reaches"]):
            assert number in results, f"{name}: {number} is not in results.md"
