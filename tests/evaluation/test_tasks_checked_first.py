"""What one task cannot do is said before any of the tasks computes, not after an hour of the others."""

import io

import pytest
from rich.console import Console

from kinelex.errors import InputError
from kinelex.evaluation import context as context_module
from kinelex.evaluation import evaluate
from kinelex.evaluation.context import Context, TaskResult
from kinelex.evaluation.frozen import NoOptions
from kinelex.evaluation.protocols.registry import TASKS

NOT_YAML = "[unclosed"
BOTH = "unseen: [clap]\nseen: [clap]\n"


def judge(run, task: str, options: dict[str, str], **more):
    console = Console(file=io.StringIO())
    return evaluate(run, tasks=("knn", task), options={task: options}, fresh=True, console=console, **more)


@pytest.fixture
def nothing_computed(monkeypatch) -> None:
    def extract(*_: object, **__: object) -> None:
        raise AssertionError("features were computed before the options were checked")

    monkeypatch.setattr(context_module, "extract_all", extract)


@pytest.mark.usefixtures("nothing_computed")
@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("classify", {}, "learned from labels"),
        ("one_shot", {}, "pass one_shot.split=random:5:0"),
        ("one_shot", {"split": "random:99:0"}, "expects 1 to 23 unseen classes"),
        ("zero_shot", {}, "pass zero_shot.split=random:5:0"),
        ("zero_shot", {"split": "ntu60_55_5"}, "is for 60 classes, the store has 24"),
        ("zero_shot", {"split": "there_is_none.yaml"}, "there_is_none.yaml does not exist"),
        ("zero_shot", {"split": "random:5:0", "texts": "nothing"}, "there are no texts of classes"),
        ("zero_shot", {"split": "random:5:0"}, "text encoder"),  # the tests' prompts name none that there is
        ("transfer", {}, "transfer.data=STORE"),
        ("transfer", {"data": "missing.arrow", "protocol": "xsub"}, "missing.arrow"),
        ("finetune", {"changes": "epoch=2"}, "did you mean 'epochs'"),
        ("finetune", {"changes": "encoder.channels=64"}, "leave out encoder.channels"),
        ("finetune", {"changes": "batch_size=0"}, "batch size of at least 1"),
        ("semi", {"changes": "optimizer.lr=fast"}, "optimizer.lr"),
        ("calibration", {"by": "classify"}, "learned no classifier"),
        ("robustness", {"by": "classify"}, "learned no classifier"),
        ("knn", {"k": "1000"}, "knn.k of at most"),
        ("knn", {"sweep": "1,1000"}, "knn.sweep of at most"),
    ],
)
def test_refused_before_anything_is_computed(acted, task, options, message):
    if task == "knn":
        with pytest.raises(InputError, match=message):
            evaluate(acted.run, tasks=("linear", "knn"), options={"knn": options}, fresh=True)
        return
    with pytest.raises(InputError, match=message):
        judge(acted.run, task, options)


@pytest.mark.usefixtures("nothing_computed")
@pytest.mark.parametrize(
    ("content", "message"), [(NOT_YAML, "cannot be read as YAML"), (BOTH, "'clap' both seen and unseen")]
)
def test_a_damaged_split_file_is_refused_first(acted, tmp_path, content, message):
    split = tmp_path / "classes.yaml"
    split.write_text(content)
    with pytest.raises(InputError, match=message):
        judge(acted.run, "one_shot", {"split": str(split)})


@pytest.mark.usefixtures("nothing_computed")
def test_another_set_that_the_run_cannot_read_is_refused_first(acted, store):
    with pytest.raises(InputError, match="is the store that is judged anyway"):
        judge(acted.run, "transfer", {"data": str(acted.store), "protocol": "xsub"})
    with pytest.raises(InputError, match="xsetup"):
        judge(acted.run, "transfer", {"data": str(store.path), "protocol": "xsetup"})
    changes = {"data": str(store.path), "protocol": "xsub", "changes": "epochz=1"}
    with pytest.raises(InputError, match="epochz"):
        judge(acted.run, "transfer", changes)


class Refusing:
    name, title, Options = "refusing", "refuses", NoOptions
    checks = 0

    def check(self, context: Context, options: NoOptions) -> None:
        Refusing.checks += 1
        if context.seed == 7:
            raise InputError("refusing does not like seven")

    def run(self, context: Context, options: NoOptions) -> TaskResult:
        return TaskResult({"rule": "Nothing.", "clips": len(context.test)})


def test_a_task_of_ones_own_may_check_and_what_is_cached_is_not_checked_again(run, monkeypatch):
    monkeypatch.setitem(TASKS, "refusing", f"{__name__}:Refusing")
    monkeypatch.setattr(Refusing, "checks", 0)

    def judged(seed: int) -> int:
        console = Console(file=io.StringIO())
        found = evaluate(run.path, tasks=("refusing",), seed=seed, baselines=False, console=console)
        return found["refusing"]["clips"]

    assert (judged(0), judged(0), Refusing.checks) == (24, 24, 1)
    with pytest.raises(InputError, match="seven"):
        judged(7)
