"""Skeleton encoders: one file each, one registry, one contract."""

from kinelex.encoders import aagcn, ctrgcn, gru, hdgcn, msg3d, stgcn, stgcnpp, transformer  # noqa: F401
from kinelex.encoders.base import Encoder
from kinelex.encoders.registry import builder, create, names, register

__all__ = ["Encoder", "builder", "create", "names", "register"]
