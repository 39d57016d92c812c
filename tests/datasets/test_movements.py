"""Movements from parameters: what their sentences say is what the joints do."""

from pathlib import Path

import numpy as np
import pytest

from kinelex.data import open_store
from kinelex.datasets import prepare
from kinelex.datasets.synthetic import known_actions, make_performer, perform
from kinelex.datasets.synthetic.body import LAYOUT
from kinelex.datasets.synthetic.movements import movements
from kinelex.errors import InputError

BY_NAME = {action.name: action for action in movements()}


def joint(x: np.ndarray, name: str) -> np.ndarray:
    return x[LAYOUT.index(name)]


def played(name: str, performer: int, seed: int) -> tuple[np.ndarray, str]:
    """The frames of a movement, and its caption."""
    shown = perform(BY_NAME[name], make_performer(performer), np.random.default_rng(seed))
    return shown.coordinates[:, 0], shown.caption


HEAD, CHEST = "head", "shoulder_center"
TRUE = {  # by what a class's name says: whether the joints do it; s is the side's sign, right negative
    "overhead": lambda x, side, s: joint(x, f"{side}_hand")[1] > joint(x, HEAD)[1] + 0.1,
    "arm sideways": lambda x, side, s: s * (joint(x, f"{side}_hand") - joint(x, CHEST))[0] > 0.5,
    "arm forward": lambda x, side, s: (joint(x, f"{side}_hand") - joint(x, CHEST))[2] > 0.4,
    "arm backward": lambda x, side, s: (joint(x, f"{side}_hand") - joint(x, "spine"))[2] < -0.2,
    "behind the back": lambda x, side, s: (joint(x, f"{side}_hand") - joint(x, "spine"))[2] < -0.12,
    "to the mouth": lambda x, side, s: np.linalg.norm(joint(x, f"{side}_hand") - joint(x, HEAD)) < 0.32,
    "goal post": lambda x, side, s: (joint(x, f"{side}_hand") - joint(x, f"{side}_elbow"))[1] > 0.2,
    "knee up": lambda x, side, s: (joint(x, f"{side}_knee") - joint(x, f"{side}_hip"))[1] > -0.15,
    "leg sideways": lambda x, side, s: s * (joint(x, f"{side}_ankle") - joint(x, f"{side}_hip"))[0] > 0.25,
    "leg backward": lambda x, side, s: (joint(x, f"{side}_ankle") - joint(x, f"{side}_hip"))[2] < -0.2,
    "lean": lambda x, side, s: s * (joint(x, HEAD) - joint(x, "pelvis"))[0] > 0.08,
    "twist": lambda x, side, s: (joint(x, f"{side}_shoulder") - joint(x, CHEST))[2] < -0.04,
}


@pytest.mark.parametrize("says", TRUE)
def test_the_joints_do_what_the_name_says(says: str) -> None:
    names = [n for n in BY_NAME if says in n and n.endswith("held") and "both" not in n]
    assert names
    for number, name in enumerate(names):
        side = "left" if "left" in name else "right"
        for performer in (1, 3, 6):  # the third is left-handed, which must not change the side
            frames, caption = played(name, performer, number)
            sign = 1 if side == "left" else -1
            done = np.array([TRUE[says](x, side, sign) for x in frames])
            assert done.mean() > 0.25, (name, performer)
            assert side in caption
        elsewhere, _ = played("nod, held", 1, number)  # the condition is none that always holds
        assert not np.mean([TRUE[says](x, side, sign) for x in elsewhere]) > 0.2


def test_names_and_captions_tell_movements_apart() -> None:
    actions = known_actions("all")
    assert len({action.name for action in actions}) == len(actions)
    assert [a.name for a in actions[:24]] == [a.name for a in known_actions()]
    performer, said = make_performer(2), {}
    for action in BY_NAME.values():
        caption = perform(action, performer, np.random.default_rng(5)).caption
        assert "{" not in caption
        key = (
            caption.split(",")[0].replace("twice", "#").replace("three times", "#").replace("four times", "#")
        )
        assert said.setdefault(key, action.name) == action.name


def test_repeated_movements_come_as_often_as_they_say() -> None:
    times = {"twice": 2, "three times": 3, "four times": 4}
    for seed in range(6):
        action = BY_NAME["right arm sideways, repeated"]
        shown = perform(action, make_performer(1), np.random.default_rng(seed))
        out = -(shown.coordinates[:, 0, LAYOUT.index("right_hand"), 0])
        high = out > (out.max() + out.min()) / 2
        peaks = int((np.diff(high.astype(int)) == 1).sum())
        assert peaks == next(n for text, n in times.items() if text in shown.caption)


def test_any_layout_and_the_first_24_as_ever(tmp_path: Path) -> None:
    prepare("actors", None, tmp_path / "a.arrow", clips=24, progress=False)
    prepare("actors", None, tmp_path / "b.arrow", clips=30, actions="all", layout="smpl24", progress=False)
    basic, wide = open_store(tmp_path / "a.arrow"), open_store(tmp_path / "b.arrow")
    assert (len(basic.class_names), len(wide.class_names)) == (24, 164)
    assert wide.layout.name == "smpl24"
    shared = "left_elbow"
    elbows = [s.sequence(0)[:, 0, s.layout.index(shared)] for s in (basic, wide)]
    np.testing.assert_allclose(*elbows, atol=1e-6)
    for options, message in (
        ({"actions": "most"}, "unknown list of actions"),
        ({"layout": "hand21"}, "wrist"),
    ):
        with pytest.raises(InputError, match=message):
            prepare("actors", None, tmp_path / "c.arrow", progress=False, **options)
    assert not (tmp_path / "c.arrow").exists()
