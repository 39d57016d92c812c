"""Studies: one question, a grid of recipes that answers it, one comparison at the end."""

from kinelex.evaluation.study.definition import Study, find_study, study_names
from kinelex.evaluation.study.run import run_study
from kinelex.evaluation.study.trials import Trial, trials_of

__all__ = ["Trial", "Study", "trials_of", "find_study", "run_study", "study_names"]
