"""kinelex: skeleton action encoders taught by vision, language and other skeleton streams.

What most programs need, and every subpackage; each is imported when it is first used:

- :func:`open_store` and :func:`open_prompts` open what ``kinelex prepare`` and ``kinelex prompts`` made,
- :func:`show` makes a page of players of clips, :func:`search` finds clips by words or by an example,
- :func:`create_encoder` builds one of :func:`list_encoders`,
- :func:`train` trains one of :func:`list_methods` by a recipe, :func:`evaluate` judges the run,
- :func:`load_encoder` loads the trained encoder of a run directory, :func:`load_model` what predicts by it,
- :func:`export` writes a run as one file, which :mod:`kinelex.runtime` answers by without torch.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from kinelex import moved  # noqa: F401 - modules of version 0.1 are found by their old names

if TYPE_CHECKING:
    from kinelex.data import open_prompts, open_store
    from kinelex.encoders import create as create_encoder
    from kinelex.encoders import names as list_encoders
    from kinelex.inference.export import export
    from kinelex.inference.load_model import load_model
    from kinelex.methods import list_methods
    from kinelex.reports import evaluate
    from kinelex.reports.search import search
    from kinelex.reports.show import show
    from kinelex.training.encoder_files import load_encoder
    from kinelex.training.train import train

# Small transformer forwards stall when idle OpenMP threads spin (500 ms instead of 5 per sentence on
# two cores). It must be set before torch is imported, and a user's own setting wins.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = "0.2.0"
_FUNCTIONS = {
    "create_encoder": "encoders:create",
    "evaluate": "reports:evaluate",
    "export": "inference.export:export",
    "list_encoders": "encoders:names",
    "list_methods": "methods:list_methods",
    "load_model": "inference.load_model:load_model",
    "load_encoder": "training.encoder_files:load_encoder",
    "open_prompts": "data:open_prompts",
    "open_store": "data:open_store",
    "search": "reports.search:search",
    "show": "reports.show:show",
    "train": "training.train:train",
}
__all__ = [
    "__version__",
    "create_encoder",
    "data",
    "datasets",
    "encoders",
    "errors",
    "evaluate",
    "evaluation",
    "export",
    "files",
    "inference",
    "list_encoders",
    "list_methods",
    "live",
    "load_encoder",
    "load_model",
    "losses",
    "methods",
    "models",
    "open_prompts",
    "open_store",
    "plugins",
    "pose",
    "prompts",
    "reports",
    "runtime",
    "search",
    "show",
    "skeleton",
    "train",
    "training",
    "transforms",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that ``kinelex --help`` does not wait for torch."""
    if name in _FUNCTIONS:
        module, _, function = _FUNCTIONS[name].partition(":")
        globals()[name] = getattr(import_module(f"kinelex.{module}"), function)
        return globals()[name]
    if name in __all__:  # a subpackage
        return import_module(f"kinelex.{name}")
    raise AttributeError(f"module 'kinelex' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
