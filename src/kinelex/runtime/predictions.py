"""What a model says of clips: classes with probabilities, of a clip and of each person in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

NONE = "none of the classes"


@dataclass(frozen=True, repr=False)
class ClipPrediction:
    """What a model says of one clip, or of one person in it.

    Args:
        id: name of the clip.
        classes: names of the classes.
        probabilities: of each class, calibrated where the model could be.
        score: how well the clip is known; what ``threshold`` is compared with.
        threshold: clips of a lower score are none of the classes; None where there is none.
        persons: what is said of each person who is in the clip, by that person alone; for a clip of one
            person it is what is said of the clip.

    Shape:
        - probabilities: (classes,)

    >>> one = ClipPrediction("a", ("jump", "wave"), np.array([0.2, 0.8]), score=0.8, threshold=0.5)
    >>> one.label, one.known, one.top(1)
    ('wave', True, [('wave', 0.8)])
    >>> one
    ClipPrediction('a': wave 80.0 %, jump 20.0 %)
    """

    id: str
    classes: tuple[str, ...]
    probabilities: np.ndarray
    score: float
    threshold: float | None = None
    persons: tuple[ClipPrediction, ...] = field(default=())

    @property
    def label(self) -> str:
        """The most probable class, whether the clip is known or not."""
        return self.classes[int(self.probabilities.argmax())]

    @property
    def probability(self) -> float:
        """The probability of ``label``."""
        return float(self.probabilities.max())

    @property
    def known(self) -> bool | None:
        """Whether the clip is of one of the classes; None where the model has nothing to tell it by."""
        return None if self.threshold is None else bool(self.score >= self.threshold)

    @property
    def answer(self) -> str:
        """``label``, or ``none of the classes``."""
        return NONE if self.known is False else self.label

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """The k most probable classes with their probabilities, the most probable first."""
        order = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(self.classes[i], float(self.probabilities[i])) for i in order]

    def numbers(self, k: int = 5) -> dict[str, Any]:
        """What can stand in JSON: the answer, the k most probable classes, and the persons."""
        own = {
            "id": self.id,
            "answer": self.answer,
            "label": self.label,
            "probability": self.probability,
            "known": self.known,
            "score": self.score,
            "top": [{"class": name, "probability": p} for name, p in self.top(k)],
        }
        if self.persons:
            own["persons"] = [one.numbers(k) for one in self.persons]
        return own

    def rows(self, k: int = 5) -> list[dict[str, Any]]:
        """Rows of a table: the clip's, and one of each person where there are several."""
        several = self.persons if len(self.persons) > 1 else ()
        found = []
        for person, one in [("", self), *((str(number), one) for number, one in enumerate(several))]:
            row = {"id": self.id, "person": person, "answer": one.answer, "known": one.known}
            for place, (name, probability) in enumerate(one.top(k), start=1):
                row |= {f"class_{place}": name, f"probability_{place}": f"{probability:.6f}"}
            found.append(row)
        return found

    def __repr__(self) -> str:
        listed = ", ".join(f"{name} {100 * p:.1f} %" for name, p in self.top(3))
        first = f"{NONE}; nearest " if self.known is False else ""
        return f"{type(self).__name__}({self.id!r}: {first}{listed})"

    def _repr_html_(self) -> str:
        return _html(self.rows(3), "clip")


class Predictions(tuple[ClipPrediction, ...]):
    """What a model says of several clips, in their order.

    >>> one = ClipPrediction("a", ("jump", "wave"), np.array([0.2, 0.8]), score=0.8)
    >>> Predictions([one]).labels
    ['wave']
    """

    @property
    def labels(self) -> list[str]:
        """The most probable class of each clip."""
        return [one.label for one in self]

    @property
    def probabilities(self) -> np.ndarray:
        """Of each clip and class.

        Shape:
            - returns: (clips, classes)
        """
        return np.stack([one.probabilities for one in self])

    def rows(self, k: int = 5) -> list[dict[str, Any]]:
        """Rows of a table, see :meth:`ClipPrediction.rows`."""
        return [row for one in self for row in one.rows(k)]

    def _repr_html_(self) -> str:
        return _html(self.rows(3), f"{len(self)} clips")


def _html(rows: list[dict[str, Any]], caption: str) -> str:
    head = list(dict.fromkeys(key for row in rows for key in row))
    cells = "".join(
        "<tr>" + "".join(f"<td>{escape(str(row.get(key, '')))}</td>" for key in head) + "</tr>"
        for row in rows
    )
    names = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in head)
    return f"<table><caption>{escape(caption)}</caption><tr>{names}</tr>{cells}</table>"
