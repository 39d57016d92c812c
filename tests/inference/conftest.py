"""A run that learned labels, and its model."""

import pytest

import kinelex
from kinelex.training.train import train


@pytest.fixture(scope="session")
def judged(acted, tmp_path_factory, quick):
    """A run of one epoch that learned labels, on a fold, so that clips of the training part are left."""
    run = tmp_path_factory.mktemp("judged") / "run"
    train(
        "supervised",
        acted.store,
        "xsub:fold1of3",
        run,
        overrides=[o for o in quick if o[:3] not in ("dim", "hid")],
    )
    return run


@pytest.fixture(scope="session")
def model(judged):
    return kinelex.load_model(judged)
