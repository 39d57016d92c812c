"""Protocols of several stores."""

from __future__ import annotations

import numpy as np

from kinelex.data.several import SeveralStores, Stores
from kinelex.data.splits.split import Split, get_split
from kinelex.errors import InputError


def protocols_of(stores: SeveralStores, protocol: str) -> list[str]:
    """The protocol of each store: one for all, or one each with commas between them.

    Raises:
        InputError: another number of protocols than stores.
    """
    named = [part.strip() for part in protocol.split(",")]
    if len(named) not in (1, len(stores.stores)):
        raise InputError(
            f"expects one protocol for all {len(stores.stores)} stores, or one each "
            f"({', '.join(stores.names)}), got {len(named)}: {protocol}"
        )
    return named * len(stores.stores) if len(named) == 1 else named


def split_of(store: Stores, protocol: str) -> Split:
    """The training and test rows of a protocol, of several stores one after another.

    Raises:
        InputError: as :func:`get_split` and :func:`protocols_of`.
    """
    if not isinstance(store, SeveralStores):
        return get_split(store, protocol)
    named = protocols_of(store, protocol)
    parts = [get_split(one, name) for one, name in zip(store.stores, named, strict=True)]
    at = list(zip(parts, store.starts[:-1], strict=True))
    train, test = (np.concatenate([getattr(p, rows) + k for p, k in at]) for rows in ("train", "test"))
    return Split(protocol, train, test)
