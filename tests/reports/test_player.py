"""Players of clips: what the page holds is the clip, and missing joints stay missing."""

import base64
import json
import re

import numpy as np
import pytest

from kinelex.reports.page.player import clip_player, player_content
from kinelex.reports.page.view import front_view
from kinelex.skeleton import get_layout

RNG = np.random.default_rng(0)
NTU = get_layout("ntu25")


def walk(frames: int = 12, persons: int = 1) -> np.ndarray:
    """A body that moves, in metres, (T, M, 25, 3)."""
    body = RNG.normal(size=(1, persons, 25, 3)) * 0.4 + [0, 0, 3]
    return body + 0.02 * np.cumsum(RNG.normal(size=(frames, persons, 25, 3)), axis=0)


def values(content: dict) -> np.ndarray:
    shape = [content[key] for key in ("frames", "persons", "joints", "channels")]
    return np.frombuffer(base64.b64decode(content["values"]), "<i2").reshape(shape)


def test_the_page_holds_the_clip_but_for_place_and_scale():
    clip = walk()
    content = player_content(clip, NTU, "a", 30.0, 10**6)
    found, wanted = values(content).astype(float), front_view(clip, NTU)
    found, wanted = (x - x.mean(axis=(0, 1, 2)) for x in (found, wanted))
    np.testing.assert_allclose(found / found.std(), wanted / wanted.std(), atol=2e-3)
    across = np.hypot(found[..., 0], found[..., 2]).max() / 32767
    assert across == pytest.approx(content["across"], rel=0.3)
    assert (content["length"], content["step"], content["fps"]) == (12, 1, 30.0)


def test_missing_joints_and_absent_persons_are_left_out():
    clip = walk(persons=3)
    clip[:, 1] = 0
    clip[4, 0, 7] = 0
    content = player_content(clip, NTU, "a", np.nan, 10**6)
    assert (content["persons"], content["fps"]) == (2, None)
    missing = values(content)[..., 0] == -32768
    assert np.argwhere(missing).tolist() == [[4, 0, 7]]
    empty = player_content(np.zeros((3, 2, 25, 3)), NTU, "a", None, 10**6)
    assert (values(empty) == -32768).all()


def test_a_joint_far_off_does_not_make_the_body_small():
    clip = walk(40)
    plain = player_content(clip, NTU, "a", None, 10**6)
    clip[5, 0, 7] = 1e5
    odd = player_content(clip, NTU, "a", None, 10**6)
    spread = [values(c)[10].astype(float).std() / c["reach"] for c in (plain, odd)]
    assert spread[1] == pytest.approx(spread[0], rel=0.5)


def test_a_long_clip_keeps_every_nth_frame():
    clip = walk(200)
    content = player_content(clip, NTU, "a", 30.0, 10_000)
    assert content["step"] > 1
    assert content["frames"] == -(-200 // content["step"])
    assert content["length"] == 200
    assert len(content["values"]) <= 10_000


def test_a_name_cannot_end_the_script_and_the_same_clip_gives_the_same_bytes():
    clip = walk()
    page = clip_player(clip, NTU, "</script><b>")
    assert page.count("</script>") == 1
    content = re.search(r'json">(.*?)</script>', page)
    assert json.loads(content[1])["name"] == "</script><b>"
    assert page == clip_player(clip.copy(), NTU, "</script><b>")


def test_two_dimensions_are_shown_as_filmed():
    flat = RNG.uniform(10, 200, size=(5, 1, 17, 2)).round(1)
    content = player_content(flat, get_layout("coco17"), "a", 25, 10**6)
    found = values(content).astype(float)
    slope = [np.polyfit(flat[..., axis].ravel(), found[..., axis].ravel(), 1)[0] for axis in (0, 1)]
    assert slope[0] == pytest.approx(slope[1], rel=1e-3)
    assert slope[0] > 0
