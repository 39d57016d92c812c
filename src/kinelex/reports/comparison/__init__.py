"""The comparison of many runs: tables and one page."""

from kinelex.reports.comparison.model import Comparison, Group
from kinelex.reports.comparison.numbers import compare_groups
from kinelex.reports.comparison.write import write_comparison, write_tables

__all__ = ["Comparison", "Group", "compare_groups", "write_comparison", "write_tables"]
