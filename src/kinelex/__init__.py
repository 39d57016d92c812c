"""kinelex: skeleton action encoders taught by vision, language and other skeleton streams.

The four things most programs need:

- :func:`open_store` opens a skeleton store (made by ``kinelex prepare``),
- :func:`open_prompts` opens a prompt store (made by ``kinelex prompts``),
- ``kinelex.encoders.create`` builds an encoder by name,
- :func:`load_encoder` loads the trained encoder of a run directory.
"""

import os
from typing import Any

# Small transformer forwards stall when idle OpenMP threads spin (500 ms instead of 5 per sentence on
# two cores). It must be set before torch is imported, and a user's own setting wins.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = "0.1.0"
__all__ = ["__version__", "encoders", "load_encoder", "open_prompts", "open_store"]


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that ``kinelex --help`` does not wait for torch."""
    import importlib

    if name in ("open_store", "open_prompts"):
        return getattr(importlib.import_module("kinelex.data"), name)
    if name == "load_encoder":
        return importlib.import_module("kinelex.training.encoder_files").load_encoder
    if name == "encoders":
        return importlib.import_module("kinelex.encoders")
    raise AttributeError(f"module 'kinelex' has no attribute {name!r}")
