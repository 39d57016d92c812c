"""The clips of an evaluation and their prompts in the space that a run's method made for both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from kinelex.data import PromptStore
from kinelex.data.clip_prompts import Prompts, StorePrompts
from kinelex.errors import InputError
from kinelex.evaluation.context import Context
from kinelex.methods.embedding_space import EmbeddingSpace
from kinelex.training.embedding_space_files import FILE, load_embedding_space


@dataclass
class ClipSpace:
    """A run's space, and what embeds clips and prompts into it."""

    context: Context
    embedding_space: EmbeddingSpace

    @classmethod
    def of(cls, context: Context) -> ClipSpace | None:
        """The space of a run; None where its method makes none."""
        space = load_embedding_space(context.run.path)
        if space is None:
            return None
        features, (encoder, *others) = space.description()["features"], context.encoders.values()
        if others or features != encoder.num_features:
            raise InputError(f"{context.run.path / FILE} does not belong to the encoder of the run")
        return cls(context, space)

    @property
    def prompts(self) -> PromptStore:
        """The prompts."""
        if self.context.prompts is None:
            raise InputError(
                f"the prompts that {self.context.run.path} was trained with are not there: pass --prompts "
                "PROMPTS"
            )
        return self.context.prompts

    def skeletons(self, rows: np.ndarray) -> np.ndarray:
        """Embeddings of clips.

        Shape:
            - rows: (n,)
            - returns: (n, D) float32, of length 1
        """
        (stream,) = self.context.encoders
        return self._embed("skeleton", torch.from_numpy(self.context.features(stream, rows)))

    def clip_prompts(self, modality: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings of the clips' own prompts, and which clips have them.

        Shape:
            - rows: (n,)
            - returns: (n, D) float32, and (n,) bool
        """
        prompts = self.check_prompts(modality)[torch.from_numpy(rows)]
        vectors = self.embedding_space.prompts.vectors(modality, prompts)
        return self._embed(modality, vectors), prompts.mask.numpy()

    def check_prompts(self, modality: str) -> Prompts:
        """The prompts of one modality, of the kind that the run was trained with."""
        prompts = StorePrompts(self.prompts, self.context.store, (modality,)).embedded[modality]
        ours, theirs = prompts.shape, self.embedding_space.prompts.shapes[modality]
        if ours != theirs:
            raise InputError(
                f"{self.prompts.path} has {modality} prompts of the form {ours}, the run was trained with "
                f"{theirs}: pass the prompts that it was trained with"
            )
        return prompts

    def texts(self, vectors: np.ndarray, centre: bool) -> np.ndarray:
        """Embeddings of texts that stand for whole clips, such as those of classes.

        They take the place of the clip's own prompt; the frames' prompts are then the training part's mean,
        which says nothing. Where clips have no prompt of their own, they take the place of the frames'.

        Args:
            vectors: the texts' embeddings by the prompts' text encoder.
            centre: subtract the texts' own mean and divide by their own scale, instead of those of the
                training prompts.

        Shape:
            - vectors: (n, width)
            - returns: (n, D) float32, of length 1
        """
        shape = self.embedding_space.prompts.shapes["language"]
        part = "clip" if shape.clip_width else "frame"
        width = shape.clip_width or shape.width
        if vectors.shape[1] != width:
            raise InputError(f"expects texts of {width} numbers as the run's prompts, got {vectors.shape[1]}")
        given = torch.from_numpy(np.ascontiguousarray(vectors, np.float32))
        if centre and self.embedding_space.prompts.standardise:
            given = torch.from_numpy(standardised(vectors))
        else:
            given = self.embedding_space.prompts.scaled("language", part, given)
        frames = self.embedding_space.prompts.segments["language"] * shape.width if shape.count else 0
        if part == "clip":
            given = torch.cat([torch.zeros(len(given), frames), given], dim=1)
        else:
            given = given.repeat(1, self.embedding_space.prompts.segments["language"])
        return self._embed("language", given)

    @torch.no_grad()
    def _embed(self, modality: str, vectors: torch.Tensor) -> np.ndarray:
        return self.embedding_space.embed(modality, vectors).numpy()


def standardised(vectors: np.ndarray) -> np.ndarray:
    """Vectors without their mean, divided by one scale for all dimensions, as training does with prompts.

    Shape:
        - vectors: (n, width)
        - returns: (n, width) float32

    >>> standardised(np.array([[0.0, 1.0], [2.0, 1.0]])).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    centred = vectors - np.mean(vectors, axis=0, dtype=np.float64)
    spread = float(np.sqrt(np.var(centred, axis=0, ddof=1 if len(centred) > 1 else 0).mean()))
    return (centred / max(spread, 1e-6)).astype(np.float32)
