"""The report is one file that needs nothing from outside, with every section that applies."""

import io
import re
import shutil
import sys

import numpy as np
import pytest
import torch
from rich.console import Console

from kinelex.errors import InputError
from kinelex.evaluation.rows import result_rows
from kinelex.inference.neighbours import Neighbours
from kinelex.reports import evaluate
from kinelex.reports.page.view import skeleton_strip
from kinelex.reports.run.examples import Gallery, clearest
from kinelex.reports.run.figures import curve_groups
from kinelex.reports.run.maps import confusion_figure, feature_maps, project, worst_confusions
from kinelex.skeleton import get_layout
from kinelex.training.run_directory import RunDirectory

SECTIONS = (
    "numbers", "tasks", "training", "similarities", "map", "confusion", "hardest", "examples", "run",
)  # fmt: skip


def make_report(run: RunDirectory, **options) -> str:
    evaluate(run.path, console=Console(file=io.StringIO()), **options)
    return (run.path / "report.html").read_text()


def test_report_is_self_contained_and_whole(run, make_prompts):
    page = make_report(run, prompts=make_prompts().path)
    references = re.findall(r"""(?:src|href|xlink:href|action|data)\s*=\s*["']([^"']*)""", page)
    assert references
    assert all(r.startswith("#") for r in references)
    for outside in ("<link", "<script src", "@import", "<iframe"):
        assert outside not in page
    assert page.count('<figure class="player"><svg class="strip"') >= 3 * 4  # stills are there for print
    assert not re.findall(r"url\((?!#)", page)
    assert len(page) < 5e6
    for section in SECTIONS:
        assert f'id="{section}"' in page
    panels = 5 + 1 + 2  # training, similarities, maps
    assert page.count('<svg class="figure"') == panels + 1  # and the confusion matrix
    assert page.count('<div class="example">') >= 3
    assert "He moves." in page
    assert "Left out" not in page
    assert "what each took stands in <code>metrics.csv</code>" in page
    assert "12 seconds" not in page  # the same run gives the same bytes
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
    assert "<script>alert" not in make_report(run)


def test_of_each_class_the_clip_with_the_most_similar_neighbour_is_shown():
    labels = np.array([0, 0, 1, 1, 2, 2])
    train_labels = np.array([0, 1, 2])
    nearest = np.array([[0], [1], [1], [0], [0], [1]])
    similarity = np.array([[0.9], [0.8], [0.7], [0.6], [0.95], [0.5]])
    neighbours = Neighbours(np.zeros((6, 3)), nearest, similarity)
    assert clearest(neighbours, labels, train_labels, right=True) == {0: 0, 1: 2}
    assert clearest(neighbours, labels, train_labels, right=False) == {0: 1, 1: 3, 2: 4}


def test_hardest_classes_come_first_with_what_they_are_taken_for(store):
    train, test = np.arange(0, 24), np.arange(24, 48)
    places = np.arange(24) % 3  # training clips 0, 1, 2 are of the classes a, b, c
    places[[1, 4, 2]] = 2, 2, 0  # two clips of b are taken for c, one of c for a
    similarity = np.full((24, 1), 0.5)
    similarity[4] = 0.9
    gallery = Gallery(store, train, test, Neighbours(np.zeros((24, 3)), places[:, None], similarity))
    confusion = np.array([[8, 0, 0], [0, 6, 2], [1, 0, 7]])
    hardest = gallery.hardest(confusion)
    assert [(h.name, h.rate, h.taken_for, h.count) for h in hardest] == [
        ("b", 0.75, [("c", 2)], 8),
        ("c", 0.875, [("a", 1)], 8),
    ]
    assert hardest[0].example.clip.id == "clip28"
    assert hardest[0].example.neighbours[0].label == "c"
    assert [example.clip.label for example in gallery.hits()] == ["a", "b", "c"]


def test_figures_follow_the_theme_of_the_page(run):
    page = make_report(run)
    for figure in re.findall(r'<svg class="figure".*?</svg>', page, re.DOTALL):
        assert "var(--" in figure
        assert not re.search(r"(?i)#(1d2733|66727f|1f5fa8|fefefe|ffffff)", figure)
    for variable in set(re.findall(r"var\((--[a-z]+)\)", page)):
        assert page.count(f"{variable}:") >= 2, variable  # said for a light page and for a dark one


def test_rates_of_other_clips_have_no_bar_beside_the_baselines():
    chance = 0.2
    result = {
        "knn": {"top1": 0.7, "top5": 0.9},
        "one_shot": {"title": "one-shot", "top1": 0.9, "chance": chance},
        "robustness": {"title": "robustness", "top1": 0.4},
        "baselines": {"chance": 0.1},
    }
    rows = {row.name: row for row in result_rows(result)}
    assert [name for name, row in rows.items() if row.comparable] == [
        "nearest neighbour on features",
        "chance",
    ]
    assert rows["one-shot"].note == "5 novel classes, chance 20.0 %"


def test_the_map_says_how_it_was_made_and_is_the_same_again(run):
    assert "t-SNE (perplexity 7.7, after PCA" in make_report(run)
    features = np.random.default_rng(0).normal(size=(30, 12))
    np.testing.assert_array_equal(project(features), project(features))


def test_umap_keeps_groups_apart_and_is_the_same_again(run):
    pytest.importorskip("umap")
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1], 40)
    features = rng.normal(size=(80, 12)) + 9 * np.eye(12)[groups]
    threads = torch.get_num_threads()
    found = project(features, method="umap")
    assert torch.get_num_threads() == threads
    middles = [found[groups == g].mean(axis=0) for g in (0, 1)]
    nearest = [np.linalg.norm(found - m, axis=1) for m in middles]
    assert ((nearest[1] < nearest[0]) == groups).all()
    np.testing.assert_array_equal(found, project(features, method="umap"))
    assert project(features[:4], method="umap").shape == (4, 2)
    assert "UMAP (23 neighbours, least distance 0.5, after PCA" in make_report(run, map_by="umap")


def test_a_map_that_cannot_be_made_is_refused_before_anything_is_computed(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)  # as if it were not installed
    with pytest.raises(InputError, match=r"needs umap-learn: pip install 'kinelex\[umap\]'"):
        make_report(run, map_by="umap")
    with pytest.raises(InputError, match="did you mean 'tsne'"):
        make_report(run, map_by="tnse")
    assert not (run.path / "evaluation" / "knn.json").exists()


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


def test_the_accuracy_of_a_method_that_reads_labels_is_not_called_contrastive():
    rows = [{"epoch": 0.0, "accuracy/joint": 0.5}]
    assert [title for title, _, _ in curve_groups(rows)] == ["Contrastive accuracy"]
    assert [title for title, _, _ in curve_groups(rows, labels=True)] == ["Training accuracy"]


def test_figures_of_many_classes_and_clips_stay_small():
    rng = np.random.default_rng(0)
    names = [f"class {c}" for c in range(120)]
    confusion = rng.integers(1, 9, size=(120, 120))
    assert len(confusion_figure(confusion, names)) < 1.6e6  # no cell is empty
    points = {title: rng.normal(size=(1500, 2)) for title in ("features", "raw")}
    assert len(feature_maps(points, np.arange(1500) % 120, names)) < 1.6e6


def test_a_cell_of_the_confusion_is_as_strong_as_its_share():
    figure = confusion_figure(np.array([[1, 19], [0, 4]]), ["a", "b"])
    strengths = [float(found) for found in re.findall(r"(?:fill-)?opacity: ([\d.]+)", figure)]
    assert sorted(set(strengths)) == pytest.approx([0.05 + 0.95 / 20, 0.05 + 0.95 * 19 / 20])
    assert figure.count("fill: var(--right)") == 3  # the third of full strength
    assert re.findall(r">(\d+)</text>", figure) == ["1", "19", "4"]


@pytest.mark.parametrize("most", [1, 8])
def test_worst_confusions_are_sorted_and_without_zeros(most):
    confusion = np.array([[5, 2, 0], [0, 4, 3], [0, 0, 6]])
    expected = [("b", "c", 3, 7), ("a", "b", 2, 7)]
    assert worst_confusions(confusion, ["a", "b", "c"], most) == expected[:most]
