"""What ends the help of verbs that list tasks, engines, studies or data sets.

The lists are kept as text, so that a help takes a fifth of a second and not the seconds that importing all
tasks or engines takes; ``make help-texts`` writes them anew.
"""

from __future__ import annotations

from pathlib import Path

from kinelex.cli.evaluate import tasks_help
from kinelex.cli.prepare import datasets_help
from kinelex.cli.prompts import parts_help
from kinelex.cli.study import studies_help

LISTS = {"prepare": datasets_help, "prompts": parts_help, "evaluate": tasks_help, "study": studies_help}
FOLDER = Path(__file__).with_name("help")


def help_text(verb: str) -> str | None:
    """The list that ends a verb's help, by the verb's name; None where there is none."""
    return (FOLDER / f"{verb}.txt").read_text("utf-8").rstrip() if verb in LISTS else None


def write_lists() -> None:
    """Write all lists anew, after a task, an engine, a study, a data set or an option has changed."""
    for verb, listed in LISTS.items():
        (FOLDER / f"{verb}.txt").write_text(listed() + "\n", "utf-8")
