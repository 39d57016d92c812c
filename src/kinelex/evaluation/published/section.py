"""The section of a page that sets published numbers below those that were measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jinja2

from kinelex.evaluation.published.numbers import Published


def published_section(numbers: Sequence[Published], tasks: Mapping[str, str]) -> str:
    """HTML of the section; empty where nothing is known.

    Args:
        numbers: what is known of the page's data set, protocol and tasks.
        tasks: what the page calls each task.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kinelex.evaluation.published", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    # The address stands there as text, without its scheme: a report refers to nothing outside.
    rows = [(number, tasks[number.task], number.source.url.partition("://")[2]) for number in numbers]
    return environment.get_template("section.html.j2").render(rows=rows)
