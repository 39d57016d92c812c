"""Skeleton encoders: one file each, one registry, one contract."""

from kinelex.encoders import aagcn as _aagcn  # noqa: F401  (registers itself)
from kinelex.encoders import ctrgcn as _ctrgcn  # noqa: F401  (registers itself)
from kinelex.encoders import gru as _gru  # noqa: F401  (registers itself)
from kinelex.encoders import hdgcn as _hdgcn  # noqa: F401  (registers itself)
from kinelex.encoders import msg3d as _msg3d  # noqa: F401  (registers itself)
from kinelex.encoders import stgcn as _stgcn  # noqa: F401  (registers itself)
from kinelex.encoders import stgcnpp as _stgcnpp  # noqa: F401  (registers itself)
from kinelex.encoders import transformer as _transformer  # noqa: F401  (registers itself)
from kinelex.encoders.base import Encoder
from kinelex.encoders.registry import builder, create, names, register

__all__ = ["Encoder", "builder", "create", "names", "register"]
