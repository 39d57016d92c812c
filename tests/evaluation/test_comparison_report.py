"""A comparison of runs: its numbers by hand, its tables, its page; nothing is trained here."""

import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from kinelex.errors import InputError
from kinelex.evaluation.comparison import Group, compare_groups
from kinelex.evaluation.comparison.tables import Entry, latex, markdown
from kinelex.evaluation.scores import ScoreFile, score_path
from kinelex.evaluation.statistics import mcnemar
from kinelex.reports.comparison import write_comparison
from kinelex.reports.comparison.write import _verdict, differing_settings
from kinelex.reports.run.task_curves import panels_of, task_curves
from kinelex.reports.run.task_sections import Block, task_sections
from kinelex.training.run_directory import RunDirectory

CLASSES = ("sit_down", "walk & turn", "50 %")
LABELS = np.repeat([0, 1, 2], 20)
NOISE = {"noise": {"x": [0, 0.1], "y": [0.9, 0.4], "label": "joint noise", "xlabel": "metres"}}
PARTS = {"parts": {"x": ["none", "left_arm"], "y": [0.9, None], "label": "hidden part"}}


def judged(folder, name, seed, wrong, *, protocol="xsub", ids=60, dim=8, curves=None):
    """A run whose nearest neighbours take the clips in ``wrong`` for another class."""
    config = {"recipe": "c2vl", "protocol": protocol, "prompts": "/far/away/p.arrow"}
    config |= {
        "method": {"name": "c2vl", "dim": dim},
        "encoder": {"name": "stgcn"},
        "input": {},
        "training": {"seed": seed},
    }
    run = RunDirectory.create(folder / name, config)
    scores = np.eye(3)[LABELS]
    scores[wrong] = np.roll(scores[wrong], 1, axis=1)
    top1 = 1 - len(wrong) / 60
    counts = {"train": 90, "test": ids, "classes": 3}
    about = {"protocol": protocol, "dataset": "actors", "counts": counts}
    numbers = {"title": "nearest neighbour", "rule": "Nothing is trained.", "top1": top1, **about}
    write(run, "knn", numbers)
    if curves:
        write(
            run,
            "robustness",
            {"title": "robustness", "rule": "Changed.", "top1": 0.5, "curves": curves} | about,
        )
    write(run, "baselines", {"baselines": {"chance": 1 / 3, "raw_knn": None}, **about})
    names = tuple(f"clip{i}" for i in range(60))
    file = ScoreFile(names, LABELS, scores, CLASSES, "actors", protocol, "0", "knn", "", name)
    file.save(score_path(run.path, protocol, "knn"))
    lines = ["epoch,loss,alpha,target_entropy", "0,3.0,0.0,0.1", "1,2.0,0.8,0.4", "2,1.5,0.8,0.5"]
    (run.path / "metrics.csv").write_text("\n".join(lines) + "\n")
    return run


def write(run, task, content):
    (run.evaluation_dir / f"{task}.json").write_text(json.dumps(content))


@pytest.fixture
def groups(tmp_path):
    first = [judged(tmp_path, f"a{s}", s, np.arange(20 + s)) for s in range(2)]
    second = [judged(tmp_path, f"b{s}", s, np.arange(12) + 3 * s, dim=16) for s in range(2)]
    third = [judged(tmp_path, "c", 5, np.arange(59), curves=NOISE | PARTS)]
    return [Group("first_one", tuple(first)), Group("b & c", tuple(second)), Group("third", tuple(third))]


def test_numbers_by_hand(groups):
    comparison = compare_groups(groups, "xsub")
    column = next(c for c in comparison.columns if c.task == "knn")
    a, b, c = column.numbers
    assert a.values == pytest.approx((40 / 60, 39 / 60))
    assert a.mean == pytest.approx(39.5 / 60)
    assert a.sd == pytest.approx(np.std([40 / 60, 39 / 60], ddof=1))
    assert c.sd is None
    assert a.difference is None  # the reference
    assert b.difference == pytest.approx(48 / 60 - 39.5 / 60)
    assert b.difference_interval[0] > 0
    assert b.interval[0] < b.mean < b.interval[1]
    hits = (
        [np.arange(60) >= 20 + s for s in range(2)],
        [~np.isin(np.arange(60), np.arange(12) + 3 * s) for s in range(2)],
    )
    assert b.p == pytest.approx([mcnemar(y, x)["p"] for x, y in zip(*hits, strict=True)])
    assert c.p == ()  # no run of the same seed
    assert column.best() == (1,)
    # sit_down: 20 clips, of which seed 0 gets none and seed 1 none; of walk & turn seed 1 loses one
    assert column.per_class[0] == pytest.approx([0, 1 - 0.5 / 20, 1])
    assert comparison.baselines == {"chance": pytest.approx(1 / 3)}
    robustness = next(c for c in comparison.columns if c.task == "robustness")
    assert robustness.numbers[:2] == (None, None)


def test_differences_are_over_the_seeds_that_both_have(groups):
    alone = [groups[0], Group("one seed", groups[1].runs[:1])]
    number = compare_groups(alone, "xsub").columns[0].numbers[1]
    assert number.difference == pytest.approx(48 / 60 - 40 / 60)  # seed 0 against seed 0
    assert len(number.p) == 1
    for i, run in enumerate(groups[0].runs + alone[1].runs):  # as well where no clip is known to be right
        content = json.loads((run.evaluation_dir / "knn.json").read_text())
        write(run, "retrieval", content | {"mAP": (0.5, 0.7, 0.6)[i]})
    number = compare_groups(alone, "xsub").columns[1].numbers[1]
    assert number.difference == pytest.approx(0.6 - 0.5)


def test_a_task_that_only_some_seeds_were_judged_by(groups):
    run = groups[0].runs[1]
    run.evaluation_dir.joinpath("knn.json").unlink()
    numbers = {"title": "fine-tuned", "rule": "Trained.", "top1": 0.5, "protocol": "xsub"}
    write(run, "finetune", numbers | {"dataset": "actors", "counts": {"train": 90, "test": 60, "classes": 3}})
    number = compare_groups(groups[:2], "xsub").columns[0].numbers[0]
    assert number.values == pytest.approx([40 / 60])
    assert number.interval[0] < 40 / 60 < number.interval[1]


def test_few_labels_have_a_column_per_kind_and_share(groups):
    about = json.loads((groups[0].runs[0].evaluation_dir / "knn.json").read_text())
    for i, run in enumerate(groups[0].runs):
        rates = {
            "random": {"0.5%": {"mean": 0.2 + i / 10, "sd": 0.1}, "10%": {"mean": 0.6, "sd": 0}},
            "balanced": {"10%": {"mean": 0.7, "sd": 0}},
        }
        write(run, "semi", about | {"title": "few labels", "rule": "Drawn.", **rates})
    comparison = compare_groups(groups, "xsub")
    columns = {c.name: c.numbers[0] for c in comparison.columns if c.task == "semi"}
    assert list(columns) == ["semi 0.5% random", "semi 10% random", "semi 10% balanced"]
    assert columns["semi 0.5% random"].values == pytest.approx((0.2, 0.3))
    assert columns["semi 10% balanced"].mean == pytest.approx(0.7)


def test_transfer_has_a_column_per_set_and_way_and_zero_shot_its_harmonic_mean(groups):
    about = json.loads((groups[0].runs[0].evaluation_dir / "knn.json").read_text())
    first, second = groups[0].runs[0], groups[1].runs[0]
    ways = {"linear": {"top1": 0.4}, "full": {"top1": 0.6}}
    there = about | {"to": "sbu", "to_protocol": "fold1", "rule": "Moved."}
    write(first, "transfer", there | {"by": ways, "top1": 0.6})
    write(second, "transfer", there | {"by": {"linear": {"top1": 0.3}}, "top1": 0.3})
    write(first, "zero_shot", about | {"top1": 0.5, "generalised": {"harmonic_mean": 0.2}, "rule": "Unseen."})
    columns = {c.name: c.numbers for c in compare_groups(groups, "xsub").columns}
    linear, full = columns["transfer to sbu fold1, linear"], columns["transfer to sbu fold1, full"]
    assert (linear[0].mean, linear[1].mean) == pytest.approx((0.4, 0.3))
    assert linear[1].difference == pytest.approx(-0.1)
    assert full[0].mean == pytest.approx(0.6)
    assert full[1] is None
    assert columns["zero shot generalised H"][0].mean == pytest.approx(0.2)


def test_tables(groups):
    comparison = compare_groups(groups, "xsub")
    text = markdown(comparison)
    assert "| b & c | **80.0 ± 0.0** | – |" in text
    assert "| against first_one |" in text
    assert "+14.2 [" in text
    tex = latex(comparison)
    assert r"b \& c & \textbf{80.0 $\pm$ 0.0} & -- \\" in tex
    assert r"first\_one & 65.8 $\pm$ 1.2" in tex
    assert tex.count("{") == tex.count("}")


def test_more_numbers_than_fit_a_page_stand_one_below_the_other_in_latex(groups):
    comparison = compare_groups(groups, "xsub")
    many = replace(comparison, columns=comparison.columns * 6)
    tex = latex(many)
    names = [group.name for group in many.groups]
    assert rf"\begin{{tabular}}{{l{'r' * len(names)}}}" in tex
    assert r" & first\_one & b \& c" in tex
    assert tex.count(r"knn top-1 & 65.8 $\pm$ 1.2 & \textbf{80.0 $\pm$ 0.0}") == 6
    assert tex.count("{") == tex.count("}")


def test_page_and_files(groups, tmp_path):
    page = write_comparison(
        compare_groups(groups, "xsub", 1), tmp_path / "out", "A < B", "Which?", ["Noted."]
    )
    html = page.read_text()
    assert "A &lt; B" in html
    assert "Which?" in html
    assert "Noted." in html
    assert html.count('<svg class="figure"') == 7  # bars, 3 of the training, 2 of robustness, classes
    assert "joint noise" in html
    assert "walk &amp; turn" in html
    assert len(html) < 5e6
    for outside in ("<link", "<script", "@import", "<iframe", "http:", "https:"):
        assert outside not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", html)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "comparison.csv").read_text())))
    assert [row["group"] for row in rows if row["task"] == "knn"] == ["first_one", "b & c", "third"]
    assert float(rows[0]["mean"]) == pytest.approx(39.5 / 60, abs=1e-6)
    assert (tmp_path / "out" / "comparison.tex").is_file()


def test_one_group_has_no_differences(groups, tmp_path):
    html = write_comparison(compare_groups(groups[:1], "xsub"), tmp_path / "one").read_text()
    assert "Differences" not in html


def test_settings_in_which_groups_differ(groups):
    rows = dict(differing_settings(groups))
    assert rows["method.dim"] == ["8", "16", "8"]
    assert rows["training.seed"] == ["0, 1", "0, 1", "5"]
    assert "prompts" not in rows


def test_runs_that_cannot_be_compared(groups, tmp_path):
    with pytest.raises(InputError, match="was not judged on xview: run `kinelex evaluate"):
        compare_groups(groups, "xview")
    with pytest.raises(InputError, match="one run or more"):
        compare_groups([], "xsub")
    other = judged(tmp_path, "other", 0, np.arange(3), ids=61)
    with pytest.raises(InputError, match="judge all on the same data"):
        compare_groups([*groups, Group("other", (other,))], "xsub")
    (other.path / "evaluation" / "knn.json").write_text("{")
    with pytest.raises(InputError, match="damaged; evaluate it again"):
        compare_groups([Group("other", (other,))], "xsub")


def test_a_run_whose_tasks_were_judged_on_different_data(groups):
    run = groups[0].runs[0]
    about = json.loads((run.evaluation_dir / "knn.json").read_text())
    write(run, "linear", about | {"dataset": "others"})
    with pytest.raises(InputError, match="was judged on others"):
        compare_groups(groups[:1], "xsub")
    assert [c.task for c in compare_groups(groups[:1], "xsub", tasks=("knn",)).columns] == ["knn"]


def test_scores_of_other_clips_are_refused(groups, tmp_path):
    run = groups[0].runs[1]
    file = ScoreFile(tuple("xyz"), np.arange(3), np.eye(3), CLASSES, "actors", "xsub", "0", "knn", "", "a1")
    file.save(score_path(run.path, "xsub", "knn"))
    with pytest.raises(InputError, match="scores other clips"):
        compare_groups(groups, "xsub")


def test_a_rate_that_is_not_over_all_clips_gets_no_interval_from_them(groups):
    run = groups[2].runs[0]
    content = json.loads((run.path / "evaluation" / "knn.json").read_text())
    write(run, "knn", content | {"top1": 0.9})  # of unseen classes alone, say
    number = compare_groups(groups, "xsub").columns[0].numbers[2]
    assert number.mean == 0.9
    assert number.interval is None


def test_sections_of_tasks_in_the_report_of_one_run():
    result = {
        "knn": {"title": "nearest", "rule": "Nothing is trained.", "top1": 0.5, "k": 1},
        "robustness": {
            "title": "robust",
            "rule": "R.",
            "clean": {"top1": 0.9, "ci95": [0.8, 1.0]},
            "curves": NOISE | PARTS,
        },
        "baselines": {"chance": 0.1},
    }
    knn, robust = task_sections(result)
    assert (knn.title, knn.blocks, knn.figure) == ("nearest", [], None)
    assert robust.blocks == [Block(["top-1"], [("unchanged", ["90.0 [80.0–100.0]"])])]
    assert "joint noise" in robust.figure
    assert "left arm" in robust.figure


def test_curves_of_runs_with_other_places_are_all_drawn():
    shares = [{"x": x, "y": [0.5, 0.6], "label": "reliability"} for x in ([0.4, 0.9], [0.3, 0.8], [0.4, 0.9])]
    (panel,) = panels_of({"a": [{"reliability": of} for of in shares]}).values()
    assert [x for x, _ in panel["lines"]["a"]] == [[0.4, 0.9], [0.3, 0.8]]
    parts = {name: [{"parts": {"x": ["none", name], "y": [0.9, 0.4]}}] for name in ("left_arm", "torso")}
    figure = task_curves(panels_of(parts))
    assert all(name in figure for name in ("left arm", "torso"))


def test_what_a_task_left_out_is_said_below_its_numbers():
    numbers = {"mAP": 0.5, "R@1": 0.25, "text_to_skeleton": {"mAP": 0.4, "R@1": 0.5, "pair": {"R@1": 0.1}}}
    numbers |= {"title": "retrieval", "note": "as it is", "picture_to_skeleton": None}
    (section,) = task_sections({"retrieval": numbers})
    assert section.blocks == [
        Block(
            ["mAP", "R@1"], [("skeleton → skeleton", ["50.0", "25.0"]), ("text → skeleton", ["40.0", "50.0"])]
        ),
        Block(["R@1"], [("text → skeleton, own one", ["10.0"])]),
    ]
    assert section.notes == ["as it is", "picture → skeleton: no test clip has these prompts"]


def test_a_page_of_many_numbers_is_turned_and_says_what_cannot_be_compared(tmp_path):
    groups = []
    for seed, (name, share) in enumerate([("one", 0.1), ("two", 0.2)]):
        run = judged(tmp_path / "runs", name, seed, range(5 * seed))
        about = {"dataset": "actors", "protocol": "xsub", "counts": {"train": 90, "test": 60, "classes": 3}}
        robust = {"top1": 0.5, "rule": f"By {name}.", "changes": {"noise": {str(share): {"top1": 0.5}}}}
        shares = {f"{p}%": {"mean": p / 50, "sd": None, "n": 1} for p in (1, 2, 5, 10)}
        write(run, "robustness", about | robust)
        write(run, "semi", about | {"rule": "Few.", "random": shares, "balanced": shares})
        groups.append(Group(name, (run,)))
    html = write_comparison(compare_groups(groups, "xsub"), tmp_path / "out").read_text()
    head = html[html.index("<thead>") : html.index("</thead>")]
    assert "one (reference)" in head
    assert "semi" not in head
    assert "<td>semi 5% balanced</td>" in html
    assert "By one. Of other runs: By two. The runs&#39; clips were changed in different ways" in html


def test_groups_that_tie_are_told_as_level(groups):
    """Bold in the table, and no one of them is called the best."""
    twice = [groups[1], Group("again", groups[1].runs), groups[0]]
    comparison = compare_groups(twice, "xsub")
    column = comparison.columns[0]
    assert column.best() == (0, 1)
    sentence = _verdict(comparison, [column])[0]
    assert f"{twice[0].name} and again are level, {100 * column.numbers[0].mean:.1f} %." in sentence
    assert "is best" not in sentence
    assert [Entry.of(column, place).best for place in range(2)] == [True, True]
