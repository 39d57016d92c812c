"""From raw files to the skeleton store: readers, protocols, the built-in actors, descriptions."""

from kinelex.data.splits.split import Split, get_split, protocol_names, split_sizes
from kinelex.datasets.describe import describe_store, render_store
from kinelex.datasets.prepare import PrepareSummary, dataset_names, prepare
from kinelex.datasets.reader import FilesReader, Item, Reader, Skipped, parse_name
from kinelex.datasets.registry import register

__all__ = ["FilesReader", "Item", "PrepareSummary", "Reader", "Skipped", "Split", "dataset_names"]
__all__ += ["describe_store", "get_split", "parse_name", "prepare", "protocol_names", "register"]
__all__ += ["render_store", "split_sizes"]
