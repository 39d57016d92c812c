"""Clips whose texts and pictures lie among clips of different classes."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kinelex.inference.neighbours import knn

NEIGHBOURS, SURE = 10, 0.5  # how many vote, and the share of votes that a class needs
MOST_CLIPS = 10_000  # that are compared: more are drawn from by seed


@dataclass(frozen=True)
class Mismatch:
    """A clip whose texts say another class than its pictures.

    The class that most of the nearest clips have, and their share among them, by texts and by pictures.
    """

    clip: int
    says: tuple[int, int]
    share: tuple[float, float]


@dataclass(frozen=True)
class Mismatches:
    """The clips that look mismatched, the surest first; how many by their own class."""

    compared: int
    found: list[Mismatch]
    text_wrong: int = 0
    picture_wrong: int = 0
    both_wrong: int = 0

    def to_json(self, ids: list[str], class_names: tuple[str, ...], labels: np.ndarray) -> dict[str, Any]:
        """Counts, and the clips by id."""
        listed = [
            {
                "id": ids[m.clip],
                "class": class_names[labels[m.clip]],
                "texts_say": class_names[m.says[0]],
                "pictures_say": class_names[m.says[1]],
                "shares": list(m.share),
            }
            for m in self.found
        ]
        counts = {"text": self.text_wrong, "picture": self.picture_wrong, "both": self.both_wrong}
        return {"compared": self.compared, "count": len(self.found), "wrong": counts, "clips": listed}


def find_mismatches(text: np.ndarray, picture: np.ndarray, labels: np.ndarray, seed: int = 0) -> Mismatches:
    """Compare what a clip's neighbours are by its texts and by its pictures.

    Of every clip the :data:`NEIGHBOURS` nearest others by cosine similarity are looked up twice: by text
    features and by picture features. It looks mismatched where half of the neighbours or more are of one
    class by texts, half or more of another by pictures. Of more than :data:`MOST_CLIPS` so many are drawn.

    Shape:
        - text: (n, F); picture: (n, G), NaN where missing; labels: (n,), -1 where unknown
    """
    rows = np.flatnonzero((labels >= 0) & ~np.isnan(text[:, 0]) & ~np.isnan(picture[:, 0]))
    if len(rows) > MOST_CLIPS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_CLIPS, replace=False))
    if len(rows) < 3:
        return Mismatches(len(rows), [])
    by_text, text_share = _votes(text[rows], labels[rows])
    by_picture, picture_share = _votes(picture[rows], labels[rows])
    odd = (text_share >= SURE) & (picture_share >= SURE) & (by_text != by_picture)
    sureness = np.minimum(text_share, picture_share) + 1e-3 * (text_share + picture_share)
    order = [i for i in np.argsort(-sureness, kind="stable") if odd[i]]
    found = [
        Mismatch(
            int(rows[i]),
            (int(by_text[i]), int(by_picture[i])),
            (float(text_share[i]), float(picture_share[i])),
        )
        for i in order
    ]
    truth = labels[rows][order]
    text_wrong, picture_wrong = by_text[order] != truth, by_picture[order] != truth
    wrong = (text_wrong & ~picture_wrong, ~text_wrong & picture_wrong, text_wrong & picture_wrong)
    return Mismatches(len(rows), found, *(int(rows.sum()) for rows in wrong))


def _votes(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Most frequent class among the nearest other clips, and its share, each (n,)."""
    count = min(NEIGHBOURS, len(features) - 1)
    nearest = knn(features, labels, features, int(labels.max()) + 1, k=count + 1).indices  # (n, count + 1)
    itself = nearest == np.arange(len(nearest))[:, None]
    itself[~itself.any(axis=1), -1] = True  # copies of the clip came first: the last one goes instead
    others = labels[nearest[~itself].reshape(len(nearest), count)]
    votes = np.zeros((len(nearest), int(labels.max()) + 1), np.int64)
    np.add.at(votes, (np.arange(len(nearest))[:, None], others), 1)
    winner = votes.argmax(axis=1)
    return winner, votes[np.arange(len(votes)), winner] / count
