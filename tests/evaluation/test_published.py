"""Published numbers: what a file may say, beside which results they stand, and how. All are invented."""

import csv
import io
import json
import re

import pytest
import yaml

from kinelex.errors import InputError
from kinelex.evaluation.comparison import Group, compare_groups
from kinelex.evaluation.comparison.tables import csv_table, latex, markdown
from kinelex.evaluation.published import numbers, published_numbers, read_published
from kinelex.reports import evaluate
from kinelex.reports.comparison import write_comparison
from kinelex.reports.run.task_sections import published_section
from kinelex.training.run_directory import RunDirectory

TABLE = {
    "method": "DOE & Co",
    "variant": "two streams",
    "task": "knn",
    "source": {"title": "Doe's thesis", "url": "https://example.org/doe_1", "where": "table 3"},
    "note": "Cameras are not named.",
    "top1": {"utd_mhad": {"xsub": 71.3}, "ntu60": {"xsub": 60, "xview": 61.5}},
}
QUOTED = {
    "method": "ROE",
    "variant": "joint stream",
    "task": "linear_sgd",
    "source": {"title": "A list", "url": "https://example.org/l", "where": "row 2", "quoted_by": "Poe"},
    "top1": {"utd_mhad": {"xsub": 80.0}},
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "invented.yaml"
    path.write_text(yaml.safe_dump([TABLE, QUOTED], sort_keys=False))
    return path


@pytest.fixture
def invented(file, monkeypatch):
    known = read_published(file)
    monkeypatch.setattr(numbers, "_known", lambda: known)
    return known


def test_a_file_is_read_number_by_number(file):
    found = read_published(file)
    assert [(n.dataset, n.protocol, n.task, n.top1) for n in found] == [
        ("utd_mhad", "xsub", "knn", 71.3),
        ("ntu60", "xsub", "knn", 60.0),
        ("ntu60", "xview", "knn", 61.5),
        ("utd_mhad", "xsub", "linear_sgd", 80.0),
    ]
    assert found[0].name == "DOE & Co, two streams"
    assert str(found[3].source) == "quoted by Poe: A list, row 2"


def test_only_the_same_data_set_protocol_and_task_are_found(invented):
    everything = ("knn", "linear", "linear_sgd")
    assert [n.method for n in published_numbers("utd_mhad", "xsub", everything)] == ["DOE & Co", "ROE"]
    assert [n.method for n in published_numbers("utd_mhad", "xsub", ("linear", "knn"))] == ["DOE & Co"]
    assert published_numbers("utd_mhad", "xsub:fold1of4", everything) == ()
    assert published_numbers("ntu120", "xsub", everything) == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "knm"}, "unknown task 'knm': did you mean 'knn'"),
        ({"top1": {"ntu61": {"xsub": 1}}}, "'ntu61' is no data set with published protocols"),
        ({"top1": {"ntu60": {"xset": 1}}}, "unknown protocol of ntu60 'xset'"),
        ({"top1": {"nw_ucla": {"loso": 1}}}, "unknown protocol of nw_ucla 'loso'"),
        ({"top1": {"ntu60": {"xsub": 101}}}, "101 for ntu60 xsub: expects per cent"),
        ({"top1": {"ntu60": {"xsub": "71"}}}, "'71' for ntu60 xsub: expects per cent"),
        ({"top1": {}}, "top1: expects names with values"),
        ({"top1": {"ntu60": 5}}, "top1 of ntu60: expects names with values"),
        ({"source": None}, "source: expects names with values"),
        ({"source": {"title": "T", "url": "u"}}, "the source has no where: say where each number was read"),
        ({"source": TABLE["source"] | {"url": " "}}, "the source: url is ' ', expects a text"),
        ({"methud": "x"}, "unknown key 'methud': did you mean 'method'"),
        ({"variant": 3}, "variant is 3, expects a text"),
    ],
)
def test_what_a_file_must_not_say(tmp_path, change, message):
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump([TABLE | change]))
    with pytest.raises(InputError, match=re.escape(message)):
        read_published(path)


def test_files_that_are_none(tmp_path):
    path = tmp_path / "wrong.yaml"
    without = {key: value for key, value in TABLE.items() if key != "source"}
    for content, message in (
        (yaml.safe_dump([without]), "has no source"),
        (yaml.safe_dump([TABLE, TABLE]), "two streams ntu60 xsub knn twice"),
        (yaml.safe_dump(TABLE), "expects a list of tables"),
        ("[", "cannot be read as YAML"),
    ):
        path.write_text(content)
        with pytest.raises(InputError, match=message):
            read_published(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_published(tmp_path / "none.yaml")


def test_each_number_of_the_package_says_where_it_was_read():
    known = numbers._known()
    assert {n.method for n in known} == {"C2VL", "CMD", "MMCL"}
    assert all(n.source.url.startswith("https://") for n in known)
    places = [(n.name, n.dataset, n.protocol, n.task) for n in known]
    assert len(set(places)) == len(places)


def test_section_without_numbers_is_empty():
    assert published_section((), {}) == ""


def judged(folder, task, top1):
    """A run that was judged by a task on UTD-MHAD."""
    run = RunDirectory.create(
        folder, {"protocol": "xsub", "method": {"name": "c2vl"}, "encoder": {}, "input": {}}
    )
    about = {"protocol": "xsub", "dataset": "utd_mhad", "counts": {"train": 9, "test": 4, "classes": 2}}
    for name, numbers_of in ((task, {"top1": top1}), ("calibration", {"ece": 0.1})):
        content = {"title": name, "rule": "", **numbers_of, **about}
        (run.evaluation_dir / f"{name}.json").write_text(json.dumps(content))
    return run


def test_comparison_sets_them_below_ours(invented, tmp_path):
    comparison = compare_groups([Group("ours", (judged(tmp_path / "a", "knn", 0.5),))], "xsub")
    assert [n.method for n in comparison.published] == ["DOE & Co"]
    text = markdown(comparison)
    assert (
        "| DOE & Co, two streams | knn top-1 | 71.3 | Doe's thesis, table 3, https://example.org/doe_1. C"
        in text
    )
    tex = latex(comparison)
    ours, published = tex.split(r"\midrule")[1:]
    assert "ours" in ours
    assert r"DOE \& Co, two streams (published) & 71.3 & -- \\" in published  # no calibration error
    assert (
        "% DOE & Co, two streams (published): Doe's thesis, table 3, https://example.org/doe_1" in published
    )
    rows = list(csv.DictReader(io.StringIO(csv_table(comparison))))
    assert [(row["group"], row["source"][:5]) for row in rows if row["task"] == "knn"] == [
        ("ours", ""),
        ("DOE & Co, two streams (published)", "Doe's"),
    ]
    assert float(rows[-1]["mean"]) == pytest.approx(0.713)
    assert rows[-1]["values"] == ""
    page = write_comparison(comparison, tmp_path / "out").read_text()
    assert "example.org/doe_1. Cameras are not named.</div></td><td>knn top-1</td>" in page
    assert "https:" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)


def test_comparison_by_other_tasks_has_none(invented, tmp_path):
    comparison = compare_groups([Group("ours", (judged(tmp_path / "a", "linear", 0.5),))], "xsub")
    assert comparison.published == ()
    assert "ublished" not in markdown(comparison) + latex(comparison)
    assert "ublished" not in write_comparison(comparison, tmp_path / "out").read_text()


def test_report_of_one_run_sets_them_below_its_own(invented, run):
    evaluate(run.path, tasks=("knn", "linear"))
    page = (run.path / "report.html").read_text()
    assert 'id="published"' in page
    assert page.count("Cameras are not named.</div></td><td>nearest neighbour on features</td>") == 1
    assert "ROE" not in page  # of linear_sgd
    assert "https:" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    evaluate(run.path, tasks=("linear",))
    assert 'id="published"' not in (run.path / "report.html").read_text()
