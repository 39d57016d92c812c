"""The verb ``prompts-report``."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def prompts_report(
    prompts: list[Path],
    *,
    data: Path | None = None,
    protocol: str | None = None,
    out: Path | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Show how good prompts are, before anything is trained with them: numbers, pictures and texts on a page.

    Labels are used for the report only. Several prompt stores of the same clips are compared side by side.

    Args:
        prompts: one prompt store or several.
        data: the skeleton store that they were made for; without it the classes must stand in the clips' ids.
        protocol: the split for the probes; by default a random one, where 80 % of every class train.
        out: the HTML file; by default beside the first prompt store.
        seed: of the random split and of the clips that are shown.
    """
    from kinelex.reports.prompts.report import print_summary
    from kinelex.reports.prompts.report import prompts_report as report

    result = report(prompts, data, protocol, out, seed=seed)
    print_summary(result)
    print(f"report in {prompts[0].with_suffix('.html') if out is None else out}")
    return result
