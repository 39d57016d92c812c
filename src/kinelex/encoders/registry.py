"""Private machinery: the table of encoders by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from kinelex.encoders.base import Encoder
from kinelex.errors import unknown_name
from kinelex.skeleton import SkeletonLayout, get_layout

Builder = TypeVar("Builder", bound=Callable[..., Encoder])
_BUILDERS: dict[str, Callable[..., Encoder]] = {}


def register(builder: Builder) -> Builder:
    """Decorator of an encoder class, or of a function that builds an encoder.

    The encoder's name is the class's attribute ``name``, or the name of the function.
    """
    _BUILDERS[getattr(builder, "name", None) or builder.__name__] = builder
    return builder


def names() -> tuple[str, ...]:
    """Names of the registered encoders.

    >>> "stgcn" in names()
    True
    """
    return tuple(sorted(_BUILDERS))


def builder(name: str) -> Callable[..., Encoder]:
    """The class or function that builds an encoder.

    Raises:
        InputError: an unknown name.
    """
    if name not in _BUILDERS:
        raise unknown_name("encoder", name, _BUILDERS)
    return _BUILDERS[name]


def create(name: str, layout: str | SkeletonLayout = "ntu25", **options: Any) -> Encoder:
    """Build an encoder by name.

    Args:
        name: one of :func:`names`.
        layout: the skeleton layout it reads, by name or as an object.
        **options: the encoder's own options.

    Raises:
        InputError: an unknown name, layout or option.

    >>> import torch
    >>> encoder = create("stgcn", layout="kinect20", channels=8)
    >>> features = encoder(torch.randn(2, 3, 16, 20, 1))
    >>> features.shape == (2, encoder.num_features)
    True
    """
    build = builder(name)
    known = [p for p in inspect.signature(build).parameters if p != "layout"]
    for option in options:
        if option not in known:
            raise unknown_name(f"option of the encoder {name}", option, known)
    if not isinstance(layout, SkeletonLayout):
        layout = get_layout(layout)
    return build(layout=layout, **options)
