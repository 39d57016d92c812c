"""The report of a run: one self-contained HTML file that opens without a network."""

from kinelex.evaluation.report.figures import Bar
from kinelex.evaluation.report.write import Evidence, classifying_tasks, result_rows, write_report

__all__ = ["Bar", "Evidence", "classifying_tasks", "result_rows", "write_report"]
