"""The page of a comparison of many runs."""

from kinelex.reports.comparison.write import Folds, write_comparison

__all__ = ["Folds", "write_comparison"]
