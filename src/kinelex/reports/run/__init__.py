"""The report of a run: one self-contained HTML file that opens without a network."""

from kinelex.reports.run.maps import check_map
from kinelex.reports.run.write import write_report

__all__ = ["check_map", "write_report"]
