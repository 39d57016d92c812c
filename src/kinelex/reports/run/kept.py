"""Private machinery of the report: what was drawn or projected before need not be made again.

Functions marked by :func:`kept` ask whoever is named by :func:`keeping` first; without it they are plain
functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

_P = ParamSpec("_P")
_T = TypeVar("_T")
Keeper = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]

_KEEPER: ContextVar[Keeper | None] = ContextVar("keeper", default=None)


@contextmanager
def keeping(keeper: Keeper) -> Iterator[None]:
    """Within the block, kept functions are called by ``keeper(function, args, kwargs)``.

    >>> @kept
    ... def twice(x: int) -> int:
    ...     return 2 * x
    >>> with keeping(lambda function, args, kwargs: 7):
    ...     twice(2)
    7
    >>> twice(2)
    4
    """
    before = _KEEPER.set(keeper)
    try:
        yield
    finally:
        _KEEPER.reset(before)


def kept(make: Callable[_P, _T]) -> Callable[_P, _T]:
    """Mark a function whose text or array depends on its arguments and its source alone."""

    @wraps(make)
    def found(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        keeper = _KEEPER.get()
        return make(*args, **kwargs) if keeper is None else cast(_T, keeper(make, args, kwargs))

    return found
