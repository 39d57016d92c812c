"""The comparison of many runs: numbers by group of runs, tests on shared clips, tables."""

from kinelex.evaluation.comparison.model import Comparison, Group
from kinelex.evaluation.comparison.numbers import compare_groups
from kinelex.evaluation.comparison.tables import write_tables

__all__ = ["Comparison", "Group", "compare_groups", "write_tables"]
