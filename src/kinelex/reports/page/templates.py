"""The templates of all pages, read in one way."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any

import jinja2


def template(
    package: str, name: str = "template.html.j2", filters: dict[str, Callable[..., Any]] | None = None
) -> jinja2.Template:
    """A template of a package: text is escaped, what is not given is an error, ``css`` is the house style."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= filters or {}
    environment.globals["css"] = (
        resources.files("kinelex.reports.page").joinpath("house.css").read_text(encoding="utf-8")
    )
    return environment.get_template(name)
