"""How good prompts are before anything is trained with them: numbers, and a page to look at."""

from kinelex.evaluation.prompt_report.report import prompts_report

__all__ = ["prompts_report"]
