"""Pages: of runs, comparisons, prompts and data sets. They read numbers and compute none."""

from kinelex.reports.pages import compare, evaluate, run_study

__all__ = ["compare", "evaluate", "run_study"]
