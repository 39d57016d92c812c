"""Where clips and their prompts meet: the projectors of a method that aligns them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinelex.data.clip_prompts import PromptShape
from kinelex.errors import InputError
from kinelex.methods.projector import projectors
from kinelex.methods.prompt_choice import PromptChoice


class EmbeddingSpace(nn.Module):
    """A space with a projector for clips (``skeleton``) and one for the prompts of each modality.

    Args:
        projectors: by modality, ``skeleton`` among them.
        prompts: makes one vector per clip of its prompts, with the training part's mean and scale. Its
            ``vectors`` are the means over the frames, by which ``prompt: random`` is judged too.

    >>> import torch
    >>> shapes = {"language": PromptShape(count=2, width=4, clip_width=4)}
    >>> prompts = PromptChoice(shapes, "mean")
    >>> heads = projectors({"skeleton": 6, "language": 8}, hidden=8, dim=3, norm=False, text_space=False)
    >>> space = EmbeddingSpace(heads, prompts).eval()
    >>> space.embed("skeleton", torch.ones(5, 6)).shape
    torch.Size([5, 3])
    >>> again = EmbeddingSpace.from_description(space.description())
    >>> again.load_state_dict(space.state_dict())
    <All keys matched successfully>
    """

    def __init__(self, projectors: nn.ModuleDict, prompts: PromptChoice) -> None:
        super().__init__()
        self.projectors, self.prompts = projectors, prompts

    @property
    def modalities(self) -> tuple[str, ...]:
        """The prompts' modalities."""
        return tuple(self.prompts.shapes)

    def embed(self, modality: str, vectors: Tensor) -> Tensor:
        """Embeddings (N, D) of length 1, of features (``skeleton``) or of vectors that ``prompts`` makes."""
        return F.normalize(self.projectors[modality](vectors.float()), dim=1)

    @torch.no_grad()
    def embed_texts(self, vectors: Tensor, centre: bool = True) -> Tensor:
        """Embeddings of texts that stand for whole clips, such as those of classes.

        They take the place of the clip's own prompt; the frames' prompts are then the training part's mean,
        which says nothing. Where clips have no prompt of their own, they take the place of the frames'.

        Args:
            vectors: the texts' embeddings by the prompts' text encoder.
            centre: subtract the texts' own mean and divide by their own scale, instead of those of the
                training prompts.

        Shape:
            - vectors: (n, width); returns: (n, D), rows of length 1
        """
        shape, prompts = self.prompts.shapes["language"], self.prompts
        width = shape.clip_width or shape.width
        if vectors.shape[1] != width:
            raise InputError(f"expects texts of {width} numbers as the run's prompts, got {vectors.shape[1]}")
        given = vectors.float()
        if centre and prompts.standardise:
            given = torch.from_numpy(standardised(vectors.float().numpy()))
        else:
            given = prompts.scaled("language", "clip" if shape.clip_width else "frame", given)
        if shape.clip_width:
            frames = prompts.segments["language"] * shape.width if shape.count else 0
            given = torch.cat([torch.zeros(len(given), frames), given], dim=1)
        else:
            given = given.repeat(1, prompts.segments["language"])
        return self.embed("language", given)

    def description(self) -> dict[str, Any]:
        """What :meth:`from_description` needs, ready for JSON."""
        layers = list(self.projectors["skeleton"].children())
        first, last = (layer for layer in layers if isinstance(layer, nn.Linear))
        return {
            "features": first.in_features,
            "hidden": first.out_features,
            "dim": last.out_features,
            "norm": any(isinstance(layer, nn.BatchNorm1d) for layer in layers),
            "prompts": {m: asdict(shape) for m, shape in self.prompts.shapes.items()},
            "choice": self.prompts.choice,
            "segments": max(self.prompts.segments.values()),
            "standardise": self.prompts.standardise,
            "text_space": any(isinstance(head, nn.Identity) for head in self.projectors.values()),
        }

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> EmbeddingSpace:
        """A space of the same form, with fresh weights."""
        shapes = {m: PromptShape(**shape) for m, shape in description["prompts"].items()}
        options = (description[key] for key in ("choice", "segments", "standardise"))
        prompts = PromptChoice(shapes, *options)
        widths = {"skeleton": description["features"], **prompts.widths}
        form = (description["hidden"], description["dim"], description["norm"])
        return cls(projectors(widths, *form, description.get("text_space", False)), prompts)


def standardised(vectors: np.ndarray) -> np.ndarray:
    """Vectors without their mean, divided by one scale for all dimensions, as training does with prompts.

    Shape:
        - vectors: (n, width); returns: (n, width) float32

    >>> standardised(np.array([[0.0, 1.0], [2.0, 1.0]])).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    centred = vectors - np.mean(vectors, axis=0, dtype=np.float64)
    spread = float(np.sqrt(np.var(centred, axis=0, ddof=1 if len(centred) > 1 else 0).mean()))
    return (centred / max(spread, 1e-6)).astype(np.float32)
