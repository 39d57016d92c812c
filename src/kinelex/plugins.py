"""Code of users: modules that register encoders, methods, transforms, readers, engines and tasks.

A plugin is a module that registers its parts when it is imported. There are three ways to name it:

- a package that is installed names it under the entry points of the group ``kinelex.plugins``,
- ``kinelex VERB --plugin MODULE`` names it for one command,
- the environment variable ``KINELEX_PLUGINS=MODULE,MODULE`` for all of them, and for worker processes.

A run remembers the modules that its parts came from. Nothing is imported because a run names it: what is
neither installed nor named by the user is asked for.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from kinelex.errors import InputError, one_line

GROUP, VARIABLE = "kinelex.plugins", "KINELEX_PLUGINS"
_SCRIPT = "__main__"
_loaded: list[str] = []
_broken: dict[str, str] = {}  # installed plugins that cannot be imported, and why
_looked: list[bool] = []  # whether the installed ones were looked for


def load(*modules: str) -> None:
    """Import plugins by the names of their modules; processes that this one starts load them too.

    A module that is not found where Python looks is looked for in the current folder.

    Raises:
        InputError: no such module, or one that fails when it is imported.

    >>> load("own parts")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    kinelex.errors.InputError: expects a plugin's module as Python names it, package.module without .py, ...
    """
    for module in modules:
        if module in _loaded:
            continue
        if module.endswith(".py") or not all(part.isidentifier() for part in module.split(".")):
            raise InputError(
                f"expects a plugin's module as Python names it, package.module without .py, got {module!r}"
            )
        try:
            _import(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise _failed(module, error) from error
            raise InputError(
                f"there is no module {module}: install it, or start where {module.replace('.', '/')}.py is"
            ) from error
        except Exception as error:
            raise _failed(module, error) from error
        _loaded.append(module)
    if modules:
        os.environ[VARIABLE] = ",".join(dict.fromkeys([*_named(), *modules]))


def _named() -> list[str]:
    """The modules of the environment variable."""
    return [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]


def _import(module: str) -> None:
    here = str(Path.cwd())
    beside = Path(here, module.partition(".")[0])
    if here not in sys.path and (beside.with_suffix(".py").is_file() or beside.is_dir()):
        sys.path.append(here)  # the last place: nothing that is installed is hidden by it
    import_module(module)


def _failed(module: str, error: Exception) -> InputError:
    return InputError(
        f"the plugin {module} cannot be imported: {type(error).__name__}: {one_line(error)[:200]}; "
        f"`python -c 'import {module}'` shows where"
    )


def load_installed() -> tuple[str, ...]:
    """Import the plugins of the environment variable and of installed packages, once in a process.

    Returns:
        All plugins that are loaded.

    Raises:
        InputError: one of the environment variable cannot be imported. Of installed ones a warning says so.
    """
    if not _looked:
        from importlib.metadata import entry_points  # takes longer than the rest of a help

        _looked.append(True)
        load(*_named())
        for entry in entry_points(group=GROUP):
            if entry.module in _loaded:
                continue
            try:
                entry.load()
            except Exception as error:
                _broken[entry.module] = f"{type(error).__name__}: {one_line(error)[:200]}"
                warnings.warn(
                    f"the installed plugin {entry.module} is left out, it cannot be imported: "
                    f"{_broken[entry.module]}",
                    stacklevel=2,
                )
            else:
                _loaded.append(entry.module)
    return tuple(_loaded)


def used_by(*parts: Any) -> list[str]:
    """The plugins that classes or functions come from: what a run of them must have.

    A part of no plugin that is loaded counts by its own module, one of a script as ``__main__``.

    >>> from kinelex.errors import unknown_name
    >>> used_by(unknown_name)
    []
    """
    modules = []
    for module in (part.__module__ for part in parts):
        package = module.partition(".")[0]
        if package != "kinelex":
            near = [name for name in _loaded if name.partition(".")[0] == package]
            modules.append(module if module in near or not near else near[0])
    return list(dict.fromkeys(modules))


def require(modules: Iterable[str], whose: str | Path) -> None:
    """See that the plugins are there which a run remembers; nothing is imported that only the run names.

    Raises:
        InputError: one is neither installed nor named.
    """
    load_installed()
    for module in modules:
        if module == _SCRIPT:
            raise InputError(
                f"{whose} uses a part that a script registered: put it into a module and name that one with "
                f"--plugin MODULE or {VARIABLE}"
            )
        if module in _broken:
            raise InputError(f"{whose} uses the plugin {module}, which cannot be imported: {_broken[module]}")
        if module not in sys.modules:
            raise InputError(
                f"{whose} uses the plugin {module}, which is not loaded: install it, or name it with "
                f"--plugin {module} or {VARIABLE}={module}"
            )
