"""Write the table of docs/recipes.md from the recipes and what results.md says they reach.

python benchmarks/recipes_table.py
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

import kinelex

DOCS = Path(__file__).resolve().parents[1] / "docs"
RECIPES = Path(kinelex.__file__).parent / "recipes"
BEGIN, END = "<!-- table: python benchmarks/recipes_table.py -->\n", "<!-- end -->\n"


def table() -> str:
    """The lines between the marks: a row for each recipe, blank where nothing was measured."""
    measured = yaml.safe_load((DOCS / "recipes.yaml").read_text("utf-8"))
    rows = ["| recipe | what | reaches, top-1 in % | time |", "|---|---|---|---|"]
    for path in sorted(RECIPES.rglob("*.yaml")):
        name = path.relative_to(RECIPES).with_suffix("").as_posix()
        text = path.read_text("utf-8")
        recipe = yaml.safe_load(text)
        encoder = recipe.get("encoder", {}).get("name", "the run's encoder")
        found = measured.pop(name, {})
        reached = f"{found['reaches']}: {found['data']}" if found else ""
        what = f"{_what(text)} ({encoder}, {recipe['training']['epochs']} epochs)"
        cells = [f"`{name}`", what, reached, found.get("time", "")]
        rows.append("| " + " | ".join(cells) + " |")
    if measured:
        raise SystemExit(f"recipes.yaml names recipes that are not there: {', '.join(measured)}")
    return "\n".join(rows) + "\n"


def _what(text: str) -> str:
    """The first clause of the comment that a recipe begins with."""
    comment = " ".join(
        line.removeprefix("# ") for line in text.partition("#   ")[0].splitlines() if line[:1] == "#"
    )
    return re.split(r"[.;] |[.;:]$", comment)[0]


def page() -> str:
    """The page with a fresh table."""
    before, _, rest = (DOCS / "recipes.md").read_text("utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    (DOCS / "recipes.md").write_text(page(), "utf-8")
