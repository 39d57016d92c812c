"""How much a prompt store says about the classes: a linear classifier inside the training part.

    python benchmarks/prompt_probe.py STORE PROMPTS PROTOCOL

Logistic regression on standardised embeddings in up to four folds over the performers of the protocol's
training part (the test part is not touched). Prints one line per kind of prompt; where the training part
has two cameras, also what one camera teaches about the other.
"""

from __future__ import annotations

import argparse

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from kinelex.data import open_prompts, open_store
from kinelex.data.splits.split import get_split


def classifier() -> Pipeline:
    """The probe."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=500))


def folds_accuracy(x: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> float:
    """Share of clips that are named rightly by a classifier that has not seen their performer."""
    right = np.zeros(len(x), bool)
    for train, test in GroupKFold(min(4, len(np.unique(groups)))).split(x, labels, groups):
        right[test] = classifier().fit(x[train], labels[train]).predict(x[test]) == labels[test]
    return float(right.mean())


def main() -> None:
    """Read the arguments, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store")
    parser.add_argument("prompts")
    parser.add_argument("protocol")
    options = parser.parse_args()
    store, prompts = open_store(options.store), open_prompts(options.prompts)
    rows = get_split(store, options.protocol).train
    kinds: dict[str, np.ndarray] = {}
    present = np.ones(len(store), bool)
    for modality in prompts.modalities:
        bank = prompts.bank(modality)
        present &= bank.present
        kinds[f"{modality}: mean of the frames"] = bank.frame.astype(np.float32).mean(axis=1)
        if bank.clip is not None:
            kinds[f"{modality}: whole clip"] = bank.clip.astype(np.float32)
    language = [x for name, x in kinds.items() if name.startswith("language")]
    if len(language) == 2:
        kinds["language: both"] = np.concatenate(language, axis=1)
    rows = rows[present[rows]]
    labels, subjects, cameras = store.labels[rows], store.subjects[rows], store.cameras[rows]
    for name, x in kinds.items():
        line = f"{name:28s} {folds_accuracy(x[rows], labels, subjects):.3f} across performers"
        views = np.unique(cameras)
        if len(views) == 2:
            one, two = (cameras == v for v in views)
            for train, test in ((one, two), (two, one)):
                model = classifier().fit(x[rows][train], labels[train])
                line += f", {model.score(x[rows][test], labels[test]):.3f}"
            line += " from one camera to the other"
        print(line, flush=True)


if __name__ == "__main__":
    main()
