"""The comparison of many runs: tables and one page."""

from kinelex.evaluation.comparison_report.model import Comparison, Group
from kinelex.evaluation.comparison_report.numbers import compare_groups
from kinelex.evaluation.comparison_report.write import write_comparison, write_tables

__all__ = ["Comparison", "Group", "compare_groups", "write_comparison", "write_tables"]
