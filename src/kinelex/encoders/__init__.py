"""Skeleton encoders: one file each, one registry, one contract."""

from kinelex.encoders import (  # noqa: F401
    aagcn,
    ctrgcn,
    gru,
    hdgcn,
    msg3d,
    slots,
    stgcn,
    stgcnpp,
    transformer,
)
from kinelex.encoders.base import Encoder
from kinelex.encoders.registry import builder, create, names, register

__all__ = ["Encoder", "builder", "create", "names", "register"]
