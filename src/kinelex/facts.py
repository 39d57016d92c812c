"""How stores and runs show themselves: one line in a terminal, a small table in a notebook."""

from __future__ import annotations

from abc import ABC, abstractmethod
from html import escape
from typing import Any


class Facts(ABC):
    """Something that shows itself by a few facts."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What a user wants to see first, by name, in order."""

    def __repr__(self) -> str:
        listed = ", ".join(f"{name.replace(' ', '_')}={value!r}" for name, value in self.facts().items())
        return f"{type(self).__name__}({listed})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th>"
            f"<td style='text-align:left'>{escape(shown(value))}</td></tr>"
            for name, value in self.facts().items()
        )
        return f"<table><caption>{type(self).__name__}</caption>{rows}</table>"


def shown(value: Any) -> str:
    """A fact as a text.

    >>> shown({"xsub": 2}), shown(("a", "b")), shown(None)
    ('xsub: 2', 'a, b', 'none')
    """
    if isinstance(value, dict):
        return ", ".join(f"{name}: {shown(of)}" for name, of in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value))
    return "none" if value is None else str(value)
