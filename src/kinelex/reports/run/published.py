"""The section of a page that sets published numbers below those that were measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kinelex.evaluation.published import Published
from kinelex.reports.page.templates import template


def published_section(numbers: Sequence[Published], tasks: Mapping[str, str]) -> str:
    """HTML of the section; empty where nothing is known."""
    # The address stands there as text, without its scheme: a report refers to nothing outside.
    rows = [(number, tasks[number.task], number.source.url.partition("://")[2]) for number in numbers]
    return template("kinelex.reports.run", "published.html.j2").render(rows=rows)
