"""From raw files to the skeleton store: readers, protocols, the built-in actors, descriptions."""

from kinelex.data.splits.split import Split, get_split, protocol_names, split_sizes
from kinelex.datasets.describe import describe_store, render_store
from kinelex.datasets.prepare import PrepareSummary, dataset_names, prepare

__all__ = [
    "PrepareSummary",
    "Split",
    "dataset_names",
    "describe_store",
    "get_split",
    "prepare",
    "protocol_names",
    "render_store",
    "split_sizes",
]
