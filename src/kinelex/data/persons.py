"""How many person places the clips of a run have: one number, so that a clip's input depends on no other."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from rich.console import Console


class Crowd(Protocol):
    """Clips of which it is known how many persons each has: a store, or clips in memory."""

    persons: np.ndarray


def person_places(asked: int | None, places: int | None, store: Crowd) -> int:
    """The person places of a run: what was asked for, else the most persons of any clip of a store.

    Args:
        asked: ``input.persons``.
        places: those of the encoder, where it has one for each person: by default no more are taken.
        store: the skeleton store.
    """
    if asked is not None:
        return asked
    most = int(store.persons.max(initial=1))
    return most if places is None else min(most, places)


def say_crowded(console: Console, store: Crowd, rows: np.ndarray, places: int | None) -> None:
    """Say once how many clips have more persons than a run has places for.

    Shape:
        - rows: (n,), rows of the store.
    """
    more = 0 if places is None else int((store.persons[rows] > places).sum())
    if more:
        read = "the first person is" if places == 1 else f"the first {places} persons are"
        console.print(
            f"{more} of {len(rows)} clips have more persons than the run has places for (input.persons="
            f"{places}): of these {read} read",
            markup=False,
            soft_wrap=True,
        )
