"""How good prompts are before anything is trained with them: numbers, and a page to look at."""

from kinelex.reports.prompts.report import prompts_report

__all__ = ["prompts_report"]
