"""The methods by name."""

from kinelex.methods.base import Method
from kinelex.registry import Registry

METHODS = Registry("method")
register = METHODS.register


def list_methods() -> tuple[str, ...]:
    """Names of the registered methods, those of installed plugins included.

    >>> "c2vl" in list_methods()
    True
    """
    return METHODS.names()


def method_class(name: str) -> type[Method]:
    """The class of a method.

    Raises:
        InputError: an unknown name.

    >>> method_class("cmd").views
    2
    """
    return METHODS.find(name)
