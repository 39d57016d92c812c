"""The report is one file that needs nothing from outside, with every section that applies."""

import io
import re
import shutil

import numpy as np
import pytest
from rich.console import Console

from kinelex._page.strips import skeleton_strip
from kinelex.evaluation import evaluate
from kinelex.evaluation.knn import Neighbours
from kinelex.evaluation.report.examples import choose_examples
from kinelex.evaluation.report.figures import curve_groups
from kinelex.evaluation.report.maps import worst_confusions
from kinelex.skeleton import get_layout
from kinelex.training.run_directory import RunDirectory

SECTIONS = ("numbers", "tasks", "run", "training", "similarities", "map", "confusion", "examples")


def make_report(run: RunDirectory, **options) -> str:
    evaluate(run.path, console=Console(file=io.StringIO()), **options)
    return (run.path / "report.html").read_text()


def test_report_is_self_contained_and_whole(run, make_prompts):
    page = make_report(run, prompts=make_prompts().path)
    references = re.findall(r"""(?:src|href|xlink:href|action|data)\s*=\s*["']([^"']*)""", page)
    assert references
    assert all(r.startswith(("data:image/svg+xml;base64,", "#")) for r in references)
    for outside in ("<link", "<script", "@import", "<iframe"):
        assert outside not in page
    assert not re.findall(r"url\((?!#)", page)
    assert len(page) < 5e6
    for section in SECTIONS:
        assert f'id="{section}"' in page
    assert page.count("data:image/svg+xml") == 2
    assert page.count('<svg class="figure"') == 3
    assert page.count('<div class="example">') >= 3
    assert "He moves." in page
    assert "Left out" not in page
    assert "12 seconds" in page
    assert not list(run.path.glob(".*tmp"))


def test_sections_that_do_not_apply_say_why(run):
    (run.path / "diagnostics.npz").unlink()
    (run.path / "metrics.csv").unlink()
    page = make_report(run)
    assert "Left out: the run has no metrics of any epoch." in page
    assert "Left out: the run recorded no similarities." in page
    assert "no prompt store was given" in page
    assert "<blockquote>" not in page


def test_another_run_is_compared(run, tmp_path):
    other = tmp_path / "hard_targets"
    shutil.copytree(run.path, other)
    without = make_report(run)
    assert len(make_report(run, against=other)) > len(without)


def test_names_are_escaped(run, store):
    config = (run.path / "config.yaml").read_text()
    (run.path / "config.yaml").write_text(config + "note: <script>alert(1)</script>\n")
    assert "<script" not in make_report(run)


def test_examples_show_hits_and_mistakes_of_different_classes():
    labels = np.array([0, 0, 1, 1, 2, 2])
    train_labels = np.array([0, 1, 2])
    nearest = np.array([[0], [1], [1], [0], [0], [1]])
    similarity = np.array([[0.9], [0.8], [0.7], [0.6], [0.95], [0.5]])
    neighbours = Neighbours(np.zeros((6, 3)), nearest, similarity)
    assert choose_examples(neighbours, labels, train_labels, each=2).tolist() == [0, 2, 1, 4]
    perfect = Neighbours(np.zeros((6, 3)), labels[:, None], similarity)
    assert choose_examples(perfect, labels, train_labels).tolist() == [0, 2, 4]


def test_strip_leaves_absent_joints_and_persons_out():
    layout = get_layout("kinect20")
    clip = np.random.default_rng(0).normal(size=(12, 2, 20, 3))
    whole = skeleton_strip(clip, layout, frames=4)
    assert whole.count("L") == 4 * 2 * 19
    clip[:, 1] = 0
    clip[:, 0, layout.index("left_hand")] = 0
    assert skeleton_strip(clip, layout, frames=4).count("L") == 4 * 18
    numbers = [float(n) for n in re.findall(r"[ML](-?\d+\.\d)", whole)]
    assert min(numbers) >= 0
    assert max(numbers) <= 400


def test_strip_of_image_coordinates_and_of_an_empty_frame():
    layout = get_layout("coco17")
    clip = np.random.default_rng(0).uniform(10, 200, size=(5, 1, 17, 2))
    clip[2] = 0
    assert skeleton_strip(clip, layout, frames=5).count("L") == 4 * 16


def test_every_metric_gets_a_panel_once():
    rows = [{"epoch": 0.0, "loss": 1.0, "loss/a": 1.0, "seconds": 2.0, "mystery": 0.1, "mystery/b": 0.2}]
    groups = curve_groups(rows)
    assert [names for _, _, names in groups] == [["loss", "loss/a"], ["mystery", "mystery/b"]]


@pytest.mark.parametrize("most", [1, 8])
def test_worst_confusions_are_sorted_and_without_zeros(most):
    confusion = np.array([[5, 2, 0], [0, 4, 3], [0, 0, 6]])
    expected = [("b", "c", 3, 7), ("a", "b", 2, 7)]
    assert worst_confusions(confusion, ["a", "b", "c"], most) == expected[:most]
