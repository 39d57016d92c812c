"""What joints are called, as vectors: how an encoder tells joints of any layout apart.

``joint_names.npz`` has the vectors of the common vocabulary by MiniLM, in int8; ``benchmarks/joint_names.py``
makes it. Other names are embedded by MiniLM itself, where it is installed, or all by another text encoder.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from importlib import resources

import numpy as np

from kinelex.errors import InputError
from kinelex.skeleton import get_layout

MINILM = "minilm"


def words_of(joint: str) -> str:
    """The name of a joint as words.

    >>> words_of("left_hand_tip")
    'left hand tip'
    """
    return joint.replace("_", " ").strip()


@lru_cache(maxsize=1)
def _table() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Vectors of length 1 by joint, and their mean when the table was first made: weights rest on it."""
    file = resources.files("kinelex.encoders").joinpath("joint_names.npz")
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
        vectors = content["vectors"].astype(np.float32)
        mean = content["mean"].astype(np.float32)
        joints = content["joints"].tolist()
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return dict(zip(joints, vectors, strict=True)), mean


@lru_cache(maxsize=256)
def name_vectors(joints: tuple[str, ...], text: str = MINILM) -> np.ndarray:
    """Vectors of the names of joints, less what all names have in common.

    Args:
        joints: names, those of the common vocabulary (``left_wrist``) or any others.
        text: ``minilm``, or the folder or name of another text encoder, see
            :class:`kinelex.models.text_batches.MeanOfTokens`.

    Shape:
        - returns: (V, D) float32, D of the text encoder (MiniLM's 384), of length √D, so that a number is
          about 1.

    Raises:
        InputError: a name outside of the vocabulary, where MiniLM is not installed; no text encoder.

    >>> wrist, other, knee = name_vectors(("left_wrist", "right_wrist", "left_knee"))
    >>> bool(wrist @ other > wrist @ knee)
    True
    """
    table, mean = _table()
    if text != MINILM:
        body = dict.fromkeys([*get_layout("ntu25").joints, *get_layout("smpl24").joints])
        table = dict(zip(body, _read_by(text, body), strict=True))
        mean = np.mean(list(table.values()), axis=0)
    others = [joint for joint in joints if joint not in table]
    if others:
        read = _embedded(others) if text == MINILM else _read_by(text, others)
        table = table | dict(zip(others, read, strict=True))
    centred = np.stack([table[joint] for joint in joints]) - mean
    return centred * np.float32(len(mean) ** 0.5) / np.linalg.norm(centred, axis=1, keepdims=True).clip(1e-6)


def _read_by(text: str, joints: Iterable[str]) -> np.ndarray:
    from kinelex.models.text_batches import MeanOfTokens  # needs an extra, and only here

    return MeanOfTokens(text, "encoder.text").encode([words_of(joint) for joint in joints])


def _embedded(joints: list[str]) -> np.ndarray:
    from kinelex.models.minilm import MiniLM  # needs an extra, and only here

    try:
        return MiniLM().encode([words_of(joint) for joint in joints])
    except InputError as error:
        raise InputError(
            f"joints {', '.join(joints[:5])} are outside of the common vocabulary, so that a text encoder "
            f"has to read their names; call them as the built-in layouts do (left_wrist, …), or: {error}"
        ) from error
