"""Every number of a prompt report against a plain loop."""

import numpy as np
import pytest

from kinelex.evaluation.baselines import Baseline
from kinelex.reports.prompts import mismatch, similarity
from kinelex.reports.prompts.answers import LONG, answer_numbers, is_loop, words_of
from kinelex.reports.prompts.clips import Clips
from kinelex.reports.prompts.judge import neighbour_probes
from kinelex.reports.prompts.mismatch import NEIGHBOURS, SURE, find_mismatches
from kinelex.reports.prompts.similarity import (
    agreement,
    class_similarity,
    pair_similarity,
    strangers,
)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.fixture
def told() -> tuple[np.ndarray, np.ndarray]:
    """30 clips of 4 classes (one of a single clip, one that never occurs) in 6 numbers."""
    rng = np.random.default_rng(0)
    labels = np.array([0] * 12 + [1] * 17 + [3])
    return rng.normal(size=(30, 6)) + 2 * np.eye(6)[labels], labels


def test_numbers_of_answers_by_hand():
    long = "word " * LONG + "word"
    clips = [
        ["He sits.", "He sits.", "He sits.", "", "  ... "],
        ["He sits.", "He stands. He waves.", long.strip()],
        None,
        [],
    ]
    found = answer_numbers(clips)
    assert found["answers"] == 8
    assert found["empty"] == pytest.approx(2 / 8)
    assert found["repeated"] == pytest.approx(2 / 8)  # an empty answer repeats nothing
    assert found["long"] == pytest.approx(1 / 8)
    assert found["loops"] == pytest.approx(1 / 8)
    assert found["distinct_texts"] == 5
    assert found["distinct_words"] == len({"he", "sits", "stands", "waves", "word"})
    assert found["distinct_sentences"] == len({"He sits.", "He stands.", "He waves.", "...", long})
    assert found["distinct_per_clip"] == pytest.approx((3 / 5 + 3 / 3) / 2)
    assert found["words"]["longest"] == LONG + 1
    assert found["words"]["median"] == 2
    assert sum(found["lengths"]) == 8
    assert found["lengths"][:5] == [2, 0, 4, 0, 1]
    assert found["frequent"][0] == ("He sits.", 4)


def test_exactly_as_long_as_allowed_is_not_over_long():
    assert answer_numbers([["word " * LONG]])["long"] == 0
    assert answer_numbers([["word " * (LONG + 1)]])["long"] == 1


def test_no_answers_at_all():
    assert answer_numbers([None, []]) == {"answers": 0}


@pytest.mark.parametrize(
    ("text", "stuck"),
    [
        ("He is sitting, and he is standing.", False),
        ("very very tall", False),
        ("very very very tall", True),
        ("He lifts it and lifts it and lifts it and", True),
        ("He lifts it and lifts it, then puts it down and lifts it.", False),
        ("He sits. Then he stands. He sits!", True),
        ("", False),
        ("Left, right. Left and right.", False),
    ],
)
def test_loops(text, stuck):
    assert is_loop(text) is stuck


def test_a_long_loop_is_found_at_every_phrase_length():
    for length in range(1, 9):
        phrase = " ".join(f"w{i}" for i in range(length))
        assert is_loop(f"start {phrase} {phrase} {phrase} end")
        assert not is_loop(f"start {phrase} {phrase} other {phrase} end")


def test_words_keep_apostrophes_and_leave_signs_out():
    assert words_of("He's at 3 o'clock - waving; naïve_test") == [
        "he's", "at", "3", "o'clock", "waving", "naïve", "test",
    ]  # fmt: skip


def test_agreement_is_the_mean_over_pairs(monkeypatch):
    monkeypatch.setattr(similarity, "_CHUNK", 50)  # several chunks
    rng = np.random.default_rng(1)
    embeddings = rng.normal(size=(7, 4, 5)) + 3
    found = agreement(embeddings)
    middle = embeddings.reshape(-1, 5).mean(axis=0)
    for clip in range(7):
        pairs = [
            cosine(embeddings[clip, i] - middle, embeddings[clip, j] - middle)
            for i in range(4)
            for j in range(4)
            if i != j
        ]
        assert found[clip] == pytest.approx(np.mean(pairs), abs=1e-5)


def test_agreement_of_single_prompts_is_unknown_and_of_equal_ones_1():
    assert np.isnan(agreement(np.ones((3, 1, 4)))).all()
    same = np.repeat(np.random.default_rng(0).normal(size=(6, 1, 4)), 3, axis=1)
    np.testing.assert_allclose(agreement(same.astype(np.float16)), 1, atol=1e-3)


def test_strangers_are_of_different_clips():
    """Prompts of a clip are all the same here, so a pair of one clip would have similarity 1."""
    own = np.repeat(np.eye(8)[:, None], 3, axis=1)
    found = strangers(own)
    assert found.shape == (8,)
    np.testing.assert_allclose(found, -1 / 7, atol=1e-5)  # corners of a simplex about their mean
    assert len(strangers(own[:1])) == 0


def test_class_similarity_is_the_mean_over_pairs_of_clips(told):
    features, labels = told
    found = class_similarity(features, labels, 4)
    x = features - features.mean(axis=0)
    for a in range(4):
        for b in range(4):
            pairs = [
                cosine(x[i], x[j])
                for i in np.flatnonzero(labels == a)
                for j in np.flatnonzero(labels == b)
                if i != j
            ]
            if pairs:
                assert found[a, b] == pytest.approx(np.mean(pairs), abs=1e-5)
            else:
                assert np.isnan(found[a, b])


def test_pairs_and_their_separation(told):
    features, labels = told
    found = pair_similarity(features, labels)
    x = features - features.mean(axis=0)
    within, between = [], []
    for i in range(30):
        for j in range(i):
            (within if labels[i] == labels[j] else between).append(cosine(x[i], x[j]))
    np.testing.assert_allclose(np.sort(found.within), np.sort(within), atol=1e-5)
    np.testing.assert_allclose(np.sort(found.between), np.sort(between), atol=1e-5)
    wins = [(w > b) + 0.5 * (w == b) for w in found.within for b in found.between]
    assert found.separation == pytest.approx(np.mean(wins))
    assert 0.7 < found.separation < 1


def test_equal_similarities_separate_nothing():
    found = pair_similarity(np.ones((6, 3)), np.array([0, 0, 0, 1, 1, 1]))
    assert found.separation == 0.5
    assert np.isnan(pair_similarity(np.eye(3), np.array([0, 0, 0])).separation)


def test_many_clips_are_drawn_from(monkeypatch, told):
    monkeypatch.setattr(similarity, "MOST_CLIPS", 10)
    found = pair_similarity(*told)
    assert found.clips == 10
    assert len(found.within) + len(found.between) == 45


def test_the_nearest_clip_names_the_class():
    rng = np.random.default_rng(2)
    labels = np.arange(40) % 4
    clips = Clips([f"c{i}" for i in range(40)], labels, tuple("abcd"), np.full(40, -1))
    text, picture = (rng.normal(size=(40, 5)) + np.eye(5)[labels] for _ in range(2))
    text[[3, 30]], picture[[30, 31]] = np.nan, np.nan
    train, test = np.arange(20), np.arange(20, 40)
    found = neighbour_probes(clips, {"language": text, "vision": picture}, train, test)

    def share(block: np.ndarray) -> float:
        bank = [t for t in train if not np.isnan(block[t, 0])]
        rows = [r for r in test if not np.isnan(block[r, 0])]
        return float(
            np.mean([labels[max(bank, key=lambda t: cosine(block[r], block[t]))] == labels[r] for r in rows])
        )

    units = [np.nan_to_num(x / np.linalg.norm(x, axis=1, keepdims=True)) for x in (text, picture)]
    both = np.concatenate(units, axis=1)
    both[30] = np.nan
    for name, block in (("language", text), ("vision", picture), ("both", both)):
        assert found[name].top1 == pytest.approx(share(block)), name
    assert found["language"].details == {"train": 19, "test": 19}
    assert found["both"].details == {"train": 20, "test": 19}
    assert np.isnan(found["vision"].hits[[10, 11]]).all()
    nothing = neighbour_probes(clips, {"language": np.full((40, 2), np.nan)}, train, test)["language"]
    assert isinstance(nothing, Baseline)
    assert nothing.top1 is None
    picture[test] = np.nan
    lacking = neighbour_probes(clips, {"language": text, "vision": picture}, train, test)
    assert lacking["both"].top1 is None
    assert lacking["both"].note == "no clip of the test part has vision prompts"
    assert lacking["language"].top1 == found["language"].top1


def test_mismatches_are_the_planted_ones():
    """Clip 5 looks like class 1, clip 25 is said to be class 0, clip 45 is class 2 and neither."""
    rng = np.random.default_rng(3)
    labels = np.repeat([0, 1, 2], 20)
    seen, said = labels.copy(), labels.copy()
    seen[5], said[25], seen[45], said[45] = 1, 0, 0, 1
    text, picture = (4 * np.eye(3)[k] + 0.1 * rng.normal(size=(60, 3)) for k in (said, seen))
    found = find_mismatches(text, picture, labels)
    assert found.compared == 60
    assert {m.clip: m.says for m in found.found} == {5: (0, 1), 25: (0, 1), 45: (1, 0)}
    assert (found.picture_wrong, found.text_wrong, found.both_wrong) == (1, 1, 1)
    ids = [f"c{i}" for i in range(60)]
    listed = found.to_json(ids, ("a", "b", "c"), labels)
    assert listed["count"] == 3
    assert {row["id"] for row in listed["clips"]} == {"c5", "c25", "c45"}
    assert listed["wrong"] == {"text": 1, "picture": 1, "both": 1}


def test_mismatches_by_a_plain_loop():
    rng = np.random.default_rng(4)
    labels = rng.integers(3, size=50)
    text, picture = (rng.normal(size=(50, 4)) + 1.2 * np.eye(4)[labels] for _ in range(2))
    text[7], picture[8], labels[9] = np.nan, np.nan, -1
    text[11] = text[12]  # a copy
    rows = [i for i in range(50) if i not in (7, 8, 9)]

    def vote(block: np.ndarray, i: int) -> tuple[int, float]:
        others = sorted((j for j in rows if j != i), key=lambda j: -cosine(block[i], block[j]))[:NEIGHBOURS]
        counts = np.bincount(labels[others], minlength=3)
        return int(counts.argmax()), counts.max() / NEIGHBOURS

    expected = {}
    for i in rows:
        (a, p), (b, q) = vote(text, i), vote(picture, i)
        if p >= SURE and q >= SURE and a != b:
            expected[i] = ((a, b), (p, q))
    found = find_mismatches(text, picture, labels)
    assert found.compared == 47
    assert {m.clip: (m.says, m.share) for m in found.found} == expected
    assert expected
    sureness = [min(m.share) for m in found.found]
    assert sureness == sorted(sureness, reverse=True)


def test_too_few_clips_match_and_many_are_drawn_from(monkeypatch):
    few = find_mismatches(np.eye(2), np.eye(2), np.array([0, 1]))
    assert (few.compared, few.found) == (2, [])
    monkeypatch.setattr(mismatch, "MOST_CLIPS", 12)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 3))
    assert find_mismatches(x, x, np.arange(30) % 3).compared == 12
