"""Studies: one question, a grid of recipes that answers it, one comparison at the end."""

from kinelex.evaluation.study.cells import Cell, cells_of
from kinelex.evaluation.study.definition import Study, find_study, study_names
from kinelex.evaluation.study.run import run_study

__all__ = ["Cell", "Study", "cells_of", "find_study", "run_study", "study_names"]
