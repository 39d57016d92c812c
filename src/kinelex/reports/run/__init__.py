"""The report of a run: one self-contained HTML file that opens without a network."""

from kinelex.reports.run.figures import Bar
from kinelex.reports.run.maps import check_map
from kinelex.reports.run.rows import baseline_names, classifying_tasks, result_rows, task_titles
from kinelex.reports.run.task_lines import TaskLine, task_lines
from kinelex.reports.run.write import Evidence, write_report

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
