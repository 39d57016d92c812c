"""The grids of the studies: what comes with the package, what can be changed, what is refused."""

import re

import numpy as np
import pytest
import yaml

from kinelex.data import ClipPrompts, ModalityPrompts, PromptMeta, PromptStoreWriter
from kinelex.errors import InputError
from kinelex.evaluation.protocols.registry import TASKS
from kinelex.evaluation.study import find_study, study_names, trials_of


def write(path, **content):
    path.write_text(yaml.safe_dump({"recipe": "c2vl", "grid": {"beta": [0, 1]}} | content))
    return str(path)


def _prompts(width):
    return ModalityPrompts(np.arange(1), np.ones((1, width)), ["a"])


@pytest.mark.parametrize("name", study_names())
@pytest.mark.parametrize("dataset", ["utd_mhad", "nw_ucla", "unheard_of"])
def test_every_study_builds_for_every_data_set(name, dataset):
    study = find_study(name)
    trials, left_out = trials_of(study, dataset)
    assert not left_out
    assert set(study.tasks) <= set(TASKS)
    names = [trial.name for trial in trials]
    assert len(set(names)) == len(names) > 3
    assert all(re.fullmatch(r"[\w.+=-]+", cell_name) for cell_name in names)
    recipes = {str(trial.recipe) for trial in trials if trial.seed == 0}
    assert len(recipes) == len(trials) / len(study.seeds)  # no variant twice
    assert study.question
    assert study.title


@pytest.mark.parametrize("name", ["alpha", "beta", "encoders", "prompts", "temperature"])
def test_one_variant_is_the_recipe_itself(name):
    trials, _ = trials_of(find_study(name), "utd_mhad")
    own = {trial.variant for trial in trials if trial.is_recipe}
    expected = {
        "alpha": {"alpha 0.8, progressive true"},
        "beta": {"beta 0.5"},
        "encoders": {"encoder stgcn"},
        "prompts": set(),  # the recipe takes what modalities there are
        "temperature": {"temperature 0.07, teacher_temperature 0.07"},
    }
    assert own == expected[name]


def test_seeds_come_one_after_the_other_and_reach_the_recipe():
    trials, _ = trials_of(find_study("beta"), "utd_mhad", changes=["beta=0,1"])
    assert [(c.variant, c.seed) for c in trials[:3]] == [("beta 0", 0), ("beta 1", 0), ("beta 0", 1)]
    assert [c.recipe.training.seed for c in trials] == [0, 0, 1, 1, 2, 2]


def test_changes_reach_all_cells_and_axes_take_other_values():
    trials, _ = trials_of(find_study("beta"), "utd_mhad", changes=["method.beta=0.1,0.9", "epochs=3"])
    assert {c.recipe.method["beta"] for c in trials} == {0.1, 0.9}
    assert {c.recipe.training.epochs for c in trials} == {3}
    trials, _ = trials_of(find_study("encoders"), "utd_mhad", changes=["encoder=gru,stgcn"])
    assert {c.recipe.encoder["name"] for c in trials} == {"gru", "stgcn"}


def test_skipped_combinations_are_skipped_also_after_a_change():
    trials, _ = trials_of(find_study("alpha"), "utd_mhad", changes=["alpha=0.0,0.4"])
    variants = {c.variant for c in trials}
    assert "alpha 0.0, progressive false" not in variants
    assert len(variants) == 3


def test_several_prompt_stores_are_an_axis_and_missing_modalities_are_left_out(tmp_path):
    stores = []
    for name, widths in (("a", {"language": 4}), ("b", {"language": 4, "vision": 3})):
        with PromptStoreWriter(tmp_path / f"{name}.arrow", PromptMeta("actors", "0", {}, widths)) as writer:
            writer.add(ClipPrompts("clip", **{m: _prompts(width) for m, width in widths.items()}))
        stores.append(tmp_path / f"{name}.arrow")
    trials, left_out = trials_of(find_study("prompts"), "utd_mhad", stores)
    variants = {c.variant for c in trials}
    assert "modalities both, prompt mean, prompts b" in variants
    assert "modalities language, prompt mean, prompts a" in variants
    assert len(variants) == 2 + 6
    assert len(left_out) == 4
    assert "has no vision prompts" in left_out[0]
    with pytest.raises(InputError, match="nothing to train"):
        trials_of(find_study("prompts"), "utd_mhad", stores[:1], ["modalities=vision"])
    with pytest.raises(InputError, match="different names"):
        trials_of(find_study("beta"), "utd_mhad", [stores[0], stores[0]])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["bate=1"], "beta"),
        (["beta=high"], "beta"),
        (["beta="], "beta"),
        (["encoder=gru"], "recipe key|encoder"),
        (["seed=3"], "--seeds 0,1,2"),
    ],
)
def test_changes_that_do_not_fit(changes, said):
    with pytest.raises(InputError, match=said):
        trials_of(find_study("beta"), "utd_mhad", changes=changes)


def test_an_unknown_value_of_a_named_axis():
    with pytest.raises(InputError, match="can be stgcn, gru, .* got 'grru'"):
        trials_of(find_study("encoders"), "utd_mhad", changes=["encoder=grru"])


def test_own_studies_from_a_file(tmp_path):
    study = find_study(write(tmp_path / "mine.yaml", title="Mine", seeds=[4], tasks=["knn"]))
    assert (study.name, study.title, study.seeds, study.tasks) == ("mine", "Mine", (4,), ("knn",))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"grid": {}}, "expects recipe: NAME, and either grid: or search:"),
        ({"grid": {"beta": 3}}, "list of different values"),
        ({"grid": {"beta": [1, 1]}}, "list of different values"),
        ({"grid": {"beta": {"a": 1}}}, "list of different values"),
        ({"recipe": 3}, "expects recipe: NAME"),
        ({"qestion": "?"}, "question"),
        ({"seeds": ["a"]}, "seeds as a list of different whole numbers"),
        ({"seeds": [0, 0]}, "seeds as a list of different whole numbers"),
        ({"seeds": [-1]}, "seeds as a list of different whole numbers"),
        ({"seeds": 3}, "seeds as a list of different whole numbers"),
        ({"tasks": "knn"}, "tasks as a list of names"),
        ({"skip": [{"beta": 7}]}, "unknown value of beta in skip of the study bad '7'"),
        ({"skip": [{"betta": 1}]}, "unknown axis in skip .*did you mean 'beta'"),
        ({"skip": [{}]}, "skip to be a list"),
        ({"grid": {"method.name": ["c2vl"], "encoder.name": ["gru"]}}, "two axes have the same name"),
    ],
)
def test_files_that_are_no_studies(tmp_path, content, said):
    with pytest.raises(InputError, match=said):
        find_study(write(tmp_path / "bad.yaml", **content))


def test_a_skip_that_leaves_nothing_is_told(tmp_path):
    found = find_study(write(tmp_path / "none.yaml", grid={"method.beta": [0]}, skip=[{"beta": 0}]))
    with pytest.raises(InputError, match="nothing to train: skip leaves out every combination"):
        trials_of(found, "utd_mhad")


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "x.yaml").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        find_study(str(tmp_path / "x.yaml"))
    with pytest.raises(InputError, match="does not exist"):
        find_study(str(tmp_path / "y.yaml"))
    with pytest.raises(InputError, match="did you mean 'beta'|beta"):
        find_study("betta")
