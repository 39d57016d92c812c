"""Pages from numbers: of a run, a comparison, prompts and a data set; they compute none."""
