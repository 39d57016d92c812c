"""What ends the help of verbs that list tasks, engines, studies or data sets.

The lists are kept as text, so that a help takes a fifth of a second and not the seconds that importing all
tasks or engines takes; ``make help-texts`` writes them anew. Where a registry is loaded already, because user
code has put something into it, the list is made from it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from kinelex.cli.evaluate import tasks_help
from kinelex.cli.pose import engines_help
from kinelex.cli.prepare import datasets_help
from kinelex.cli.prompts import parts_help
from kinelex.cli.study import studies_help

LISTS = {
    "prepare": datasets_help,
    "pose": engines_help,
    "prompts": parts_help,
    "evaluate": tasks_help,
    "study": studies_help,
}
REGISTRIES = {
    "prepare": "kinelex.datasets.registry",
    "pose": "kinelex.pose.registry",
    "prompts": "kinelex.prompts.registry",
    "evaluate": "kinelex.evaluation.protocols.registry",
    "study": "kinelex.evaluation.study",
}


def help_file(verb: str) -> Path:
    """Where a verb's list is kept."""
    return Path(__file__).with_name("help") / f"{verb}.txt"


def help_text(verb: str) -> str | None:
    """The list that ends a verb's help, by the verb's name; None where there is none."""
    if verb not in LISTS:
        return None
    return LISTS[verb]() if REGISTRIES[verb] in sys.modules else help_file(verb).read_text("utf-8").rstrip()


def write_lists() -> None:
    """Write all lists anew, after a task, an engine, a study, a data set or an option has changed."""
    for verb, listed in LISTS.items():
        help_file(verb).write_text(listed() + "\n", "utf-8")
