"""Runs of every kind say the same of a clip in a store, in a file and in an array."""

import numpy as np
import pytest

import kinelex
from kinelex.data import Sequence, SkeletonStoreWriter, open_store
from kinelex.data.named_clips import NamedClips
from kinelex.datasets.single import ReadOptions
from kinelex.errors import InputError
from kinelex.inference.clips import clip_of
from kinelex.inference.events import EventOptions, find_timelines
from kinelex.training.adapt import AdaptOptions, adapt
from kinelex.training.train import train


def store_like(acted, path, fps=None, axes=slice(3), scored=False):
    """The acted clips with a frame rate, without their depth, or in a picture with confidences."""
    store, rng = open_store(acted.store), np.random.default_rng(0)
    with SkeletonStoreWriter(path, store.meta) as writer:
        for row, name in enumerate(store.ids):
            x = np.array(store.sequence(row)[..., axes])
            about = {"label": int(store.labels[row]), "subject": int(store.column("subject")[row])}
            if scored:
                about |= {"scores": rng.random(x.shape[:3], np.float32), "image_size": (4, 4)}
            writer.add(Sequence(name, x, fps=fps, **about))
    return path


@pytest.fixture(scope="module")
def streams(acted, quick, tmp_path_factory):
    """A run of CMD with three streams."""
    out = tmp_path_factory.mktemp("streams") / "run"
    changes = ["epochs=1", "hidden=8", "queue=48", "top_k=8", "frames=16", "batch_size=24", quick[-1]]
    return train("cmd", acted.store, "xsub", out, overrides=changes).path


def changed(quick, *more):
    return [*(change for change in quick if change[:3] not in ("dim", "hid")), *more]


def made(kind, acted, streams, judged, quick, folder):
    """A run of a kind, and the store that it is asked about."""
    store, options = acted.store, AdaptOptions(overrides=("epochs=1", "batch_size=24", "accelerator=cpu"))
    if kind == "three streams":
        return streams, store
    if kind in ("linear", "full", "batch_norm"):
        base = judged if kind == "batch_norm" else streams
        given = AdaptOptions() if kind == "batch_norm" else options
        return adapt(base, store, "xsub", folder / "run", kind, given).path, store
    if kind == "rate":
        store = store_like(acted, folder / "rate.arrow", fps=30.0)
        changes = changed(quick, "input.fps=20")
    if kind == "flat":
        store = store_like(acted, folder / "flat.arrow", axes=slice(2))
        changes = changed(quick)
    return train("supervised", store, "xsub", folder / "run", overrides=changes).path, store


@pytest.mark.parametrize("kind", ["three streams", "linear", "full", "batch_norm", "rate", "flat"])
def test_stores_files_and_arrays_agree(kind, acted, streams, judged, quick, tmp_path):
    run, path = made(kind, acted, streams, judged, quick, tmp_path)
    model, store, rate = kinelex.load_model(run), open_store(path), 30.0 if kind == "rate" else None
    rows = [0, 5, *np.flatnonzero(store.persons == 2)[:2].tolist()]
    clips = [np.array(store.sequence(row)) for row in rows]
    (tmp_path / "clips").mkdir()
    for row, clip in zip(rows, clips, strict=True):
        np.save(tmp_path / "clips" / f"{row:03d}.npy", clip)
    read = ReadOptions(layout=store.layout.name, fps=rate)
    of_store, of_files = model.predict(store), model.predict_files([tmp_path / "clips"], read)
    of_arrays = model.predict(clips, fps=rate)
    assert model.known_by == "neighbour"
    for row, one, other in zip(rows, of_arrays, of_files, strict=True):
        for found in (other, of_store[row]):
            assert (found.label, len(found.persons)) == (one.label, len(one.persons))
            np.testing.assert_allclose(found.probabilities, one.probabilities, atol=1e-4)
            assert found.score == pytest.approx(one.score, abs=1e-4)
    if kind == "rate":
        with pytest.raises(InputError, match="pass --fps"):
            model.predict(clips)
    if kind == "flat":
        with pytest.raises(InputError, match="2-D"):
            model.predict(np.ones((9, 25, 3)))


def test_events_of_a_run_that_reads_confidences(acted, quick, tmp_path):
    store = open_store(store_like(acted, tmp_path / "scored.arrow", fps=30.0, axes=slice(2), scored=True))
    frames = "input.transforms=[{name: uniform_frames, frames: 8, clips: 1}]"
    changes = [one for one in changed(quick, "input.scores=true", frames) if not one.startswith("frames=")]
    model = kinelex.load_model(
        train("supervised", store.path, "xsub", tmp_path / "run", overrides=changes).path
    )
    rows = [0, int(np.flatnonzero(store.persons == 2)[0])]
    clips = NamedClips([clip_of(store, row, store.ids[row]) for row in rows], store.layout)
    whole = find_timelines(model, [clips], EventOptions(windows=(3600,)))
    for timeline, said in zip(whole, model.predict_clips([clips]), strict=True):
        for person, one in zip(timeline.scores, said.persons, strict=True):
            wanted = 0 * one.probabilities if one.known is False else one.probabilities
            np.testing.assert_allclose(person.curves[0], wanted, atol=1e-5)
