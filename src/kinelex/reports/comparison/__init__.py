"""The page of a comparison of many runs."""

from kinelex.reports.comparison.write import write_comparison

__all__ = ["write_comparison"]
