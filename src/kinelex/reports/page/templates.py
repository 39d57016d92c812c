"""The templates of all pages, read in one way."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from kinelex.errors import InputError
from kinelex.files.atomic import write_whole


def template(
    package: str, name: str = "template.html.j2", filters: dict[str, Callable[..., Any]] | None = None
) -> jinja2.Template:
    """A template of a package: text is escaped, what is not given is an error.

    ``css`` is the house style; pages with players have ``player`` in the head, ``player_script`` at the end.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= filters or {}
    environment.globals["css"] = _asset("house.css")
    environment.globals["player"] = f"<style>\n{_asset('player.css')}</style>\n"
    environment.globals["player_script"] = f"<script>\n{_asset('player.js')}</script>"
    return environment.get_template(name)


def write_page(path: Path, page: str) -> Path:
    """Write the page that ``--html`` asks for; folders are made.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, page)
    except OSError as error:
        raise InputError(f"--html {path} cannot be written: {error.strerror}") from error
    return path


def _asset(name: str) -> str:
    return resources.files("kinelex.reports.page").joinpath(name).read_text(encoding="utf-8")
