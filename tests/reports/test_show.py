"""Pages, GIFs and videos of clips: which clips are chosen, and what stands beside them."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import kinelex
from kinelex.cli import main
from kinelex.data import open_store
from kinelex.errors import InputError
from kinelex.reports.show import Page, Shown
from kinelex.reports.show.page import MOST_BYTES


def ids(page: Page) -> list[str]:
    return [one.clip.id for one in page.clips]


@pytest.fixture
def own(acted, tmp_path) -> Path:
    """A copy of the run, in which a regression can be kept."""
    return Path(shutil.copytree(acted.run, tmp_path / "run"))


def test_a_store_is_one_page_that_needs_nothing_else(acted, tmp_path):
    page = kinelex.show(acted.store, tmp_path / "sub" / "p.html")
    html = (tmp_path / "sub" / "p.html").read_text()
    assert html == page.html == kinelex.show(open_store(acted.store)).html
    assert html.count('<figure class="player">') == 12
    assert not re.search(r"https?:|<link|<img|@import|url\(", html)
    labels = [one.clip.label for one in page.clips]
    assert len(set(labels)) == 12  # of 24 classes or more
    assert "12 of 120 clips" in html
    assert "by kinelex" in html
    shown = page._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert "<script" not in shown


def test_clips_are_asked_for_by_name_and_by_class(acted):
    store = open_store(acted.store)
    page = kinelex.show(store, clips=[store.ids[7], "squat"])
    squats = [
        i for i, label in zip(store.ids, store.labels, strict=True) if store.class_names[label] == "squat"
    ]
    assert ids(page) == [store.ids[7], *(i for i in squats if i != store.ids[7])]
    assert ids(kinelex.show(store, clips=f"{store.ids[3]},{store.ids[1]}")) == [store.ids[3], store.ids[1]]
    assert len(kinelex.show(store, clips="squat", most=2).clips) == 2
    with pytest.raises(InputError, match="no clip or class 'squad' .*did you mean 'squat'"):
        kinelex.show(store, clips="squad")


def test_a_run_shows_test_clips_with_predictions_and_prompts(acted, own, tmp_path):
    out = tmp_path / "p.html"
    assert main(["show", str(own), "--out", str(out), "--most", "4", "--json", str(tmp_path / "n.json")]) == 0
    html = out.read_text()
    assert "clips of the test part of xsub" in html
    assert html.count('aria-label="prediction"') == 4
    assert html.count("data-frame=") >= 4  # the run's prompts: texts of single frames
    assert '"prediction"' in (tmp_path / "n.json").read_text()
    (own / "config.yaml").write_text(
        (own / "config.yaml").read_text().replace(str(acted.store), "gone.arrow")
    )
    with pytest.raises(InputError, match="is not there .gone.arrow.: pass --data STORE"):
        kinelex.show(own)


def test_prompts_of_other_clips_are_refused(acted, tmp_path):
    one = np.random.default_rng(0).normal(size=(5, 25, 3))
    with pytest.raises(InputError, match="has no prompts for any of these clips"):
        kinelex.show(one, layout="ntu25", prompts=acted.prompts)


@pytest.mark.parametrize("layout", ["ntu25", "coco17", "hand21"])
def test_arrays_of_any_layout(layout):
    joints = kinelex.skeleton.get_layout(layout).num_joints
    x = np.random.default_rng(0).normal(size=(6, 2, joints, 2 if layout == "coco17" else 3))
    page = kinelex.show(x, layout=layout, fps=10)
    assert "6 frames, 0.6 s, 2 persons" in page.html
    assert "data-opens-playing" in page.html


def test_what_cannot_be_shown_is_one_message(acted, tmp_path):
    for source, options, said in (
        (np.ones((5, 25, 3)), {}, "pass layout="),
        (tmp_path / "none", {}, "does not exist"),
        (acted.prompts, {}, "is a prompt store"),
        (acted.store, {"run": tmp_path}, "no run directory"),
        (acted.store, {"most": 0}, "expects 1 or more"),
        (acted.store, {"clip": "a"}, "did you mean 'clips'"),
        (acted.store, {"out": tmp_path / "p.avi"}, "ends in .html, .gif or .mp4"),
    ):
        with pytest.raises(InputError, match=said):
            kinelex.show(source, **options)


def test_a_page_that_would_be_too_large_says_what_it_cut(acted):
    clip = open_store(acted.store).clip(0)
    texts = [(None, "x" * 400_000)]
    page = Page("many", [Shown(clip, texts=texts) for _ in range(20)])
    assert len(page.clips) < 20
    assert len(page.html) < MOST_BYTES + 100_000
    assert f"{len(page.clips)} of these 20 clips are here" in page.html


def test_a_clip_of_a_store_shows_itself(acted):
    store = open_store(acted.store)
    clip = store.clip(store.ids[5])
    assert clip.id == store.clip(5).id
    np.testing.assert_array_equal(clip.coordinates, store.sequence(5))
    assert clip.label == store.class_names[store.labels[5]]
    assert f"{len(clip.coordinates)} frames" in repr(clip)
    assert "figure class" in clip._repr_html_()
    with pytest.raises(InputError, match=f"has no clip '{clip.id}x': did you mean"):
        store.clip(clip.id + "x")


def test_a_gif_plays_at_the_speed_of_the_clip(acted, tmp_path):
    from PIL import Image

    clip = open_store(acted.store).clip(0)
    kinelex.show(clip, tmp_path / "c.gif")
    first = (tmp_path / "c.gif").read_bytes()
    with Image.open(tmp_path / "c.gif") as film:
        durations = []
        for frame in range(film.n_frames):
            film.seek(frame)
            durations.append(film.info["duration"])
        colours = np.unique(np.asarray(film.convert("RGB")).reshape(-1, 3), axis=0)
    assert sum(durations) / 1000 == pytest.approx(len(clip.coordinates) / (clip.fps or 30), rel=0.2)
    assert len(colours) > 3
    kinelex.show(clip, tmp_path / "c.gif")
    assert (tmp_path / "c.gif").read_bytes() == first


def test_an_mp4_of_two_clips(acted, tmp_path):
    av = pytest.importorskip("av")
    store = open_store(acted.store)
    kinelex.show(store, tmp_path / "c.mp4", clips=store.ids[:2])
    with av.open(str(tmp_path / "c.mp4")) as film:
        frames = [frame.time for frame in film.decode(video=0)]
    assert len(frames) == store.lengths[:2].sum()
    rates = [30 if np.isnan(fps) else fps for fps in store.fps[:2]]
    assert frames[-1] == pytest.approx((store.lengths[:2] / rates).sum(), abs=0.1)


def test_the_page_of_the_folder_where_one_stands_has_its_name(acted, monkeypatch):
    monkeypatch.chdir(acted.folder)
    assert "<title>run" in kinelex.show("run").html
    monkeypatch.chdir(acted.run)
    assert "<title>run" in kinelex.show(".").html
