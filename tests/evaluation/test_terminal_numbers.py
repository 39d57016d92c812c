"""What the terminal says after an evaluation: the main numbers of every task, in 80 columns."""

import io
import re

import pytest
from rich.console import Console

from kinelex.evaluation.folds import _table
from kinelex.evaluation.output import further_numbers, numbers_table, results_table
from kinelex.evaluation.protocols.registry import TASKS
from kinelex.evaluation.task_lines import task_lines
from kinelex.reports import evaluate

RETRIEVED = {"mAP": 0.5, "ci95": [0.4, 0.6], "R@1": 0.25, "R@10": 1.0, "queries": 8, "unanswered": 0}
CALIBRATED = {"ece": 0.051, "mce": 0.2, "nll": 0.7, "brier": 0.3}
GENERALISED = {"seen": 0.8, "unseen": 0.4, "harmonic_mean": 0.5333}
TOLD = {
    "retrieval": (
        {
            **RETRIEVED,
            "skeleton_to_skeleton": RETRIEVED,
            "text_to_skeleton": {**RETRIEVED, "mAP": 0.3, "pair": {"R@1": 0.125}},
            "picture_to_skeleton": None,
            "streams": {"bone": {**RETRIEVED, "mAP": 0.1}},
        },
        [
            "retrieval  all streams                mAP: 50.0 [40.0–60.0]  R@1: 25.0",
            "                                      R@10: 100.0",
            "           bone alone                 mAP: 10.0 [40.0–60.0]  R@1: 25.0",
            "                                      R@10: 100.0",
            "           text → skeleton            mAP: 30.0 [40.0–60.0]  R@1: 25.0",
            "                                      R@10: 100.0",
            "           text → skeleton, own one   R@1: 12.5",
            "           picture → skeleton         no test clip has these prompts",
        ],
    ),
    "calibration": (
        {**CALIBRATED, "by": "linear"},
        ["calibration  linear probe  ECE: 5.1  MCE: 20.0  NLL: 0.700  Brier: 0.300"],
    ),
    "semi": (
        {
            "by": "full",
            "random": {"1%": {"mean": 0.1, "sd": 0.02, "n": 2, "labels": [4, 5]}},
            "scratch": {"random": {"1%": {"mean": 0.05, "sd": None, "n": 1, "labels": [4]}}},
        },
        [
            "semi  random                  1 %: 10.0 ± 2.0",
            "      labels, random          1 %: 4–5",
            "      random, random weights  1 %: 5.0",
        ],
    ),
    "robustness": (
        {
            "top1": 0.4,
            "clean": {"top1": 0.8, "ci95": [0.7, 0.9]},
            "kept": 0.5,
            "changes": {"parts": {"left_arm": {"top1": 0.3}, "torso": {"top1": 0.5}}},
        },
        [
            "robustness  unchanged  top-1: 80.0 [70.0–90.0]  kept when changed: 50.0",
            "            parts      left arm: 30.0  torso: 50.0",
        ],
    ),
    "zero_shot": (
        {
            "top1": 0.6,
            "ci95": [0.5, 0.7],
            "chance": 0.2,
            "unseen": list("abcde"),
            "generalised": GENERALISED,
            "text_space": {"top1": 0.7, "generalised": {**GENERALISED, "harmonic_mean": None}},
        },
        [
            "zero_shot  5 unseen classes       top-1: 60.0 [50.0–70.0]  chance: 20.0",
            "           generalised            seen: 80.0  unseen: 40.0  harmonic mean: 53.3",
            "           clips' own texts       top-1: 70.0",
            "           the same, generalised  seen: 80.0  unseen: 40.0  harmonic mean: –",
        ],
    ),
    "one_shot": (
        {"top1": 0.9, "chance": 0.05, "draws": {"mean": 0.9, "sd": 0.01, "n": 10}, "raw": {"top1": 0.5}},
        [
            "one_shot  20 novel classes  top-1: 90.0 ± 1.0  draws: 10  raw coordinates: 50.0",
            "                            chance: 5.0",
        ],
    ),
    "open_set": (
        {
            "draws": [{"unknown": ["a", "b"]}],
            "known_by": "neighbour",
            "auroc_neighbour": {"mean": 0.8, "sd": 0.01},
            "kept_neighbour": {"mean": 0.9, "sd": None},
            "refused_neighbour": {"mean": 0.5, "sd": None},
            "auroc_score": {"mean": 0.7, "sd": None},
            "kept_score": None,
            "refused_score": None,
        },
        [
            "open_set                          classes left out: 2  draws: 1",
            "                                  predict tells: by near training clips",
            "          by near training clips  AUROC: 80.0 ± 1.0  known kept: 90.0",
            "                                  unknown refused: 50.0",
            "          by the highest score    AUROC: 70.0",
        ],
    ),
    "detection": (
        {
            "mAP": {"0.1": 0.7, "0.5": 0.5},
            "ci95": [0.4, 0.6],
            "baselines": {"nearest": {"mAP": {"0.1": 0.5, "0.5": 0.3}}, "chance": {"mAP": {"0.1": 0.01}}},
        },
        [
            "detection  mAP at tIoU      0.1: 70.0  0.5: 50.0 [40.0–60.0]",
            "           raw coordinates  0.1: 50.0  0.5: 30.0",
            "           chance           0.1: 1.0",
        ],
    ),
    "finetune": (
        {"top1": 0.9, "scratch": {"top1": 0.8, "ci95": [0.7, 0.9]}},
        ["finetune  from random weights  top-1: 80.0 [70.0–90.0]"],
    ),
    "transfer": (
        {
            "top1": 0.6,
            "chance": 0.1,
            "majority": 0.12,
            "by": {
                "linear": {"top1": 0.5, "scratch": {"top1": 0.3}},
                "full": {"top1": 0.6, "ci95": [0.5, 0.7]},
            },
        },
        [
            "transfer  linear            top-1: 50.0  random weights: 30.0",
            "          full              top-1: 60.0 [50.0–70.0]",
            "          on the other set  chance: 10.0  majority: 12.0",
        ],
    ),
    "mine": ({"rule": "as I like", "spread": 0.25, "top1": 0.5}, ["mine    spread: 0.25"]),
}  # fmt: skip


@pytest.mark.parametrize("task", TOLD)
def test_lines_of_each_task(task):
    numbers, expected = TOLD[task]
    lines = further_numbers({task: {"title": task, **numbers}})
    assert [re.sub(r" +", " ", line) for line in lines] == [re.sub(r" +", " ", line) for line in expected]
    assert max(map(len, lines)) <= 80


def test_every_task_is_in_the_table_or_below_it():
    for task in TASKS:
        assert task in TOLD or task_lines(task, {"top1": 0.5}) == []


def test_the_terminal_has_all_tasks_of_an_evaluation(run):
    console = Console(file=io.StringIO(), width=80)
    result = evaluate(
        run.path,
        tasks=("knn", "semi", "calibration", "retrieval", "robustness"),
        options={
            "semi": {"ratios": (0.5,), "draws": 2, "by": "linear"},
            "robustness": {"joints": (), "parts": (), "frames": (), "rate": (), "rotation": ()},
        },
        console=console,
    )
    text = console.file.getvalue()
    for said in (
        f"mAP: {100 * result['retrieval']['mAP']:.1f}",
        f"ECE: {100 * result['calibration']['ece']:.1f}",
        f"NLL: {result['calibration']['nll']:.3f}",
        f"50 %: {100 * result['semi']['balanced']['50%']['mean']:.1f} ± ",
        f"0.05: {100 * result['robustness']['changes']['noise']['0.05']['top1']:.1f}",
    ):
        assert said in text
    assert re.search(r"chance(.|\n)*retrieval +skeleton → skeleton", text)
    told = text[text.index("utd_mhad xsub:") : text.index("numbers in")]
    assert max(map(len, told.splitlines())) <= 80
    page = (run.path / "report.html").read_text()
    assert f'<td class="n">{100 * result["calibration"]["ece"]:.1f}</td>' in page


def test_a_row_without_a_rate_says_why():
    result = {
        "knn": {"top1": 0.7, "top5": 0.9},
        "baselines": {"prompt_probe_vision": None},
        "baseline_details": {"prompt_probe_vision": {"top5": None, "note": "no clip has them"}},
        "dataset": "mine",
        "protocol": "xsub",
        "counts": {"train": 1, "test": 1, "copies": 3},
    }
    console = Console(file=io.StringIO(), width=80)
    console.print(results_table(result))
    text = console.file.getvalue()
    assert "linear probe on vision prompts: no clip has them" in text
    assert "3 test clips are exact copies of training clips" in text


def test_titles_and_columns_stand_as_they_are():
    console = Console(file=io.StringIO(), width=80)
    console.print(numbers_table("my[/red]set", "store[0]"))
    fold = {"title": "my [b]task", "top1": 0.5, "folds": {"mean": 0.5, "sd": None, "values": {"[i]": 0.5}}}
    about = {"dataset": "[/x]set", "protocol": "*", "counts": {"test": 3}}
    console.print(_table({**about, "own": fold}, ["own"], 1))
    for text in ("my[/red]set", "store[0]", "[/x]set", "my [b]task", "([i])"):
        assert text in console.file.getvalue()
