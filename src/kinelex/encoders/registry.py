"""The encoders by name."""

import inspect
from collections.abc import Callable
from typing import Any

from kinelex.encoders.base import Encoder
from kinelex.errors import check_name
from kinelex.registry import Registry
from kinelex.skeleton import SkeletonLayout, get_layout

ENCODERS = Registry("encoder")
register = ENCODERS.register


def names() -> tuple[str, ...]:
    """Names of the registered encoders.

    >>> "stgcn" in names()
    True
    """
    return ENCODERS.names()


def builder(name: str) -> Callable[..., Encoder]:
    """The class or function that builds an encoder; an InputError for an unknown name.

    Raises:
        InputError: an unknown name.
    """
    return ENCODERS.find(name)


def create(name: str, layout: str | SkeletonLayout = "ntu25", **options: Any) -> Encoder:
    """Build an encoder by name, with options of its own, for a layout by name or as an object.

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
        check_name(f"option of the encoder {name}", option, known)
    if not isinstance(layout, SkeletonLayout):
        layout = get_layout(layout)
    return build(layout=layout, **options)
