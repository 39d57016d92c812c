"""What trackers show of a finished training: its curves, its similarities, its card."""

from __future__ import annotations

import re

from kinelex.errors import InputError
from kinelex.inference.load_model import bare_model
from kinelex.inference.sharing import model_card
from kinelex.reports.run.figures import curve_panels
from kinelex.reports.run.style import house_style
from kinelex.training.learned import reads_labels
from kinelex.training.run_directory import RunDirectory
from kinelex.training.trackers import Description


def describe_run(run: RunDirectory) -> Description:
    """The figures and the card of a run, as ``report.html`` and ``kinelex push`` have them."""
    figures = {}
    with house_style():
        for panel in curve_panels(run.metrics(), reads_labels(run.config)):
            axes = panel.figure.axes[0]
            axes.set_title(panel.title)
            for line, (name, _) in zip(axes.get_lines(), panel.legend, strict=False):
                line.set_label(name)
            if panel.legend:
                panel.figure.legend(loc="outside lower center", ncols=2)
                panel.figure.set_figheight(2.5 + 0.2 * -(-len(panel.legend) // 2))
            figures[re.sub(r"\W+", "_", panel.title.lower()).strip("_")] = panel.figure
    try:
        card = model_card(run, bare_model(run.path), run.path.resolve().name)
    except InputError:  # several stores: each has a run, and a card, of its own
        return Description(figures)
    return Description(figures, {"card": card})
