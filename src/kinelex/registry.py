"""What of one kind there is, by name: the built-ins, and what users and plugins add."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, TypeVar

from kinelex import plugins
from kinelex.errors import InputError, unknown_name

Thing = TypeVar("Thing", bound=Callable[..., Any])


class Registry(dict[str, Any]):
    """Classes or functions of one kind by name, in the order of the tables.

    A built-in may stand as ``"module:Name"``: it is imported when it is asked for. A name that is not there
    is looked for in the installed plugins too (:mod:`kinelex.plugins`).

    Args:
        kind: what one of them is called in messages.
        built_in: what there is from the beginning.

    >>> shapes = Registry("shape")
    >>> @shapes.register
    ... def circle(radius: float = 1.0): ...
    >>> shapes.names(), shapes.find("circle") is circle
    (('circle',), True)
    >>> shapes.find("cirle")
    Traceback (most recent call last):
    kinelex.errors.InputError: unknown shape 'cirle': did you mean 'circle'? Known: circle
    """

    def __init__(self, kind: str, built_in: Mapping[str, Any] | None = None) -> None:
        super().__init__(built_in or {})
        self.kind = kind

    def register(self, thing: Thing, name: str | None = None) -> Thing:
        """Decorator of a class or function.

        Raises:
            InputError: something else has that name.
        """
        name = name or getattr(thing, "name", None) or thing.__name__
        other = self.get(name)
        if other is not None and _place(other) != _place(thing):
            raise InputError(
                f"the {self.kind} {name!r} is there already ({_place(other)}): choose another name"
            )
        self[name] = thing
        return thing

    def names(self) -> tuple[str, ...]:
        """All names in alphabetical order, those of installed plugins included."""
        plugins.load_installed()
        return tuple(sorted(self))

    def check(self, *names: str) -> None:
        """Raise an InputError for the first name that is unknown."""
        for name in names:
            if name not in self:
                plugins.load_installed()
            if name not in self:
                raise unknown_name(self.kind, name, self)

    def find(self, name: str) -> Any:
        """The class or function of a name.

        Raises:
            InputError: an unknown name.
        """
        self.check(name)
        thing = self[name]
        if isinstance(thing, str):
            module, _, attribute = thing.partition(":")
            thing = getattr(import_module(module), attribute)
        return thing


def _place(thing: Any) -> str:
    """Where a class or function is written: a module that is run again may register it again."""
    return thing if isinstance(thing, str) else f"{thing.__module__}:{thing.__qualname__}"
