"""The report of a run: one self-contained HTML file that opens without a network."""

from kinelex.evaluation.report.figures import Bar
from kinelex.evaluation.report.maps import check_map
from kinelex.evaluation.report.rows import baseline_names, classifying_tasks, result_rows, task_titles
from kinelex.evaluation.report.task_lines import TaskLine, task_lines
from kinelex.evaluation.report.write import Evidence, write_report

__all__ = [
    "Bar",
    "Evidence",
    "TaskLine",
    "baseline_names",
    "check_map",
    "classifying_tasks",
    "result_rows",
    "task_lines",
    "task_titles",
    "write_report",
]
