"""Modules of version 0.1 are found by their old names."""

import importlib
import warnings

import pytest

import kinelex
from kinelex.moved import MOVED


@pytest.mark.parametrize("old", sorted(MOVED))
def test_an_old_module_is_importable_and_its_new_ones_exist(old: str) -> None:
    module = importlib.import_module(f"kinelex.{old}")
    for place in MOVED[old].split():
        new = importlib.import_module(f"kinelex.{place}")
        name = next(n for n in vars(new) if getattr(new, n) is not None and not n.startswith("_"))
        with pytest.warns(DeprecationWarning, match="moved: it is kinelex"):
            assert hasattr(module, name)


def test_an_old_name_is_the_new_one_and_says_so() -> None:
    from kinelex.inference.neighbours import knn

    with pytest.warns(
        DeprecationWarning, match=r"kinelex\.evaluation\.knn\.knn moved: it is kinelex\.inference"
    ):
        from kinelex.evaluation.knn import knn as old
    assert old is knn
    with pytest.warns(DeprecationWarning, match="ProbeData"):
        from kinelex.evaluation.material import Material  # renamed, too
    assert Material is kinelex.evaluation.probe_data.ProbeData


def test_what_is_nowhere_is_an_import_error() -> None:
    with pytest.raises(ImportError, match="nothing"):
        from kinelex.evaluation.knn import nothing  # noqa: F401
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("kinelex.evaluation.never")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        import kinelex.batch  # noqa: F401 - importing alone says nothing
