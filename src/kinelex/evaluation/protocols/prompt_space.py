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
        """Embeddings of texts that stand for whole clips, see :meth:`EmbeddingSpace.embed_texts`.

        Shape:
            - vectors: (n, width)
            - returns: (n, D) float32, of length 1
        """
        given = torch.from_numpy(np.ascontiguousarray(vectors, np.float32))
        return self.embedding_space.embed_texts(given, centre).numpy()

    @torch.no_grad()
    def _embed(self, modality: str, vectors: torch.Tensor) -> np.ndarray:
        return self.embedding_space.embed(modality, vectors).numpy()
