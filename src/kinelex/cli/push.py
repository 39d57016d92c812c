"""The verb ``push``."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def push(run: Path, to: str, *, private: bool = False) -> dict[str, Any]:
    """Share a run on the Hugging Face hub or as a zip file: weights, config and a card of its numbers.

    Checkpoints, which are pickles, are not shared. The token is the one of `hf auth login` or HF_TOKEN.

    Args:
        run: the run directory; its README.md is the card where it has one.
        to: user/name of a repository, which is made where it is not there; or a file that ends in .zip.
        private: a new repository is to be private.
    """
    from kinelex.inference.sharing import push as share

    shared = share(run, to, private)
    print(f"{', '.join(shared['files'])}\nin {shared.get('address') or shared['zip']}")
    print(f"to load: kinelex.load_model({shared['load']!r})")
    return shared
