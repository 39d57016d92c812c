"""Person places: a clip's input depends on the clip and the run, not on the clips beside it."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from encoder_cases import CASES, make
from rich.console import Console

from kinelex import encoders
from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.data.loader import SkeletonLoader
from kinelex.data.persons import person_places, say_crowded
from kinelex.errors import InputError
from kinelex.evaluation.baselines import raw_features
from kinelex.inference.clips import clips_of_arrays
from kinelex.inference.features import extract_features
from kinelex.skeleton import get_layout
from kinelex.training.encoder_files import SkeletonEncoder, load_encoder
from kinelex.training.train import train
from kinelex.transforms import InputConfig, InputPipeline

SBU = get_layout("sbu15")
PERSONS = (1, 1, 2, 1, 2, 1)
PREPARATIONS = {
    "published": InputConfig(frames=8, centre="first", scale="clip"),
    "cmd": InputConfig(frames=8, centre="frame", align="body", fill=True, stream="motion"),
    "torso": InputConfig(frames=8, centre="mean", align="torso", scale="torso", sampling="frames"),
    "mutual": InputConfig(frames=8, centre="mean", align="torso", scale="torso", mutual=True),
}


def write(path, persons):
    rng = np.random.default_rng(0)
    with SkeletonStoreWriter(path, StoreMeta("made", SBU, ("a", "b"))) as writer:
        for i, m in enumerate(persons):
            clip = rng.normal(size=(int(rng.integers(4, 12)), m, 15, 3))
            writer.add(
                Sequence(f"c{i}", clip, label=i % 2, splits=("given:train" if i < 4 else "given:test",))
            )
    return open_store(path)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("persons")
    made = {"one": PERSONS[:2], "mixed": PERSONS, "three": (*PERSONS, 3)}
    return {name: write(folder / f"{name}.arrow", persons) for name, persons in made.items()}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("name", "persons"), [("one", 2), ("mixed", None), ("mixed", 1)])
def test_features_of_a_clip_alone_are_those_in_any_batch(stores, case, persons, name):
    store = stores[name]
    config = replace(PREPARATIONS["published"], persons=persons)
    encoder = SkeletonEncoder(make(case), InputPipeline(SBU, config))
    rows = np.arange(len(store))
    whole = extract_features(encoder, store, rows)
    for size in (1, 4):
        found = extract_features(encoder, store, rows[::-1], batch_size=size)[::-1]
        np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("preparation", PREPARATIONS)
@pytest.mark.parametrize("persons", [None, 1, 2, 4])
def test_input_of_a_clip_alone_is_that_in_any_batch(stores, preparation, persons):
    store = stores["mixed"]
    pipeline = InputPipeline(SBU, replace(PREPARATIONS[preparation], persons=persons))
    loader = SkeletonLoader(store, np.arange(len(store)), len(store))
    whole = pipeline(loader.batch(loader.indices))
    places = persons or 2
    assert whole.shape[4] == (places**2 if preparation == "mutual" else places)
    for i in range(len(store)):
        torch.testing.assert_close(pipeline(loader.batch(np.array([i])))[0], whole[i], rtol=0, atol=1e-6)


@pytest.mark.parametrize("placement", ["memory", "mmap", "device"])
@pytest.mark.parametrize("places", [None, 1, 2, 4])
def test_frames_have_the_same_places_in_every_batch(stores, placement, places):
    store = stores["three"]
    loader = SkeletonLoader(store, np.arange(len(store)), 2, placement=placement, places=places)
    for row in loader.indices:
        frames = loader.batch(np.array([row])).frames.permute(0, 3, 2, 1).numpy()  # (T, M, V, C)
        clip = store.sequence(row)[:, :places]
        assert frames.shape[1] == (places or 3)
        np.testing.assert_array_equal(frames[:, : clip.shape[1]], clip)
        assert not frames[:, clip.shape[1] :].any()


def test_places_are_the_most_persons_of_the_store_as_far_as_the_encoder_has_them(stores):
    gru, graph = (encoders.create(name, layout=SBU) for name in ("gru", "stgcn"))
    assert [person_places(None, graph.places, s) for s in stores.values()] == [1, 2, 3]
    assert [person_places(None, gru.places, s) for s in stores.values()] == [1, 2, 2]
    assert person_places(1, gru.places, stores["three"]) == 1


def test_clips_with_more_persons_are_said_once(stores):
    said = io.StringIO()
    say_crowded(Console(file=said), stores["three"], np.arange(7), 2)
    say_crowded(Console(file=said), stores["mixed"], np.arange(6), 1)
    say_crowded(Console(file=said), stores["mixed"], np.arange(6), 2)
    assert said.getvalue().splitlines() == [
        "1 of 7 clips have more persons than the run has places for (input.persons=2): "
        "of these the first 2 persons are read",
        "2 of 6 clips have more persons than the run has places for (input.persons=1): "
        "of these the first person is read",
    ]


SMALL = ["epochs=1", "channels=2", "depth=[1,1,1]", "frames=8", "batch_size=2", "accelerator=cpu"]


def test_a_run_keeps_the_number_of_its_training_store(stores, tmp_path):
    run = train("supervised", stores["mixed"].path, "given", tmp_path / "run", overrides=SMALL)
    assert run.config["input"]["persons"] == 2
    encoder = load_encoder(run.path)
    assert encoder.pipeline.config.persons == 2
    assert encoder.for_store(stores["three"]).pipeline.config.persons == 2
    features = extract_features(encoder, stores["mixed"], np.arange(2))
    np.testing.assert_allclose(extract_features(encoder, stores["one"], np.arange(2)), features, atol=1e-5)


def test_who_comes_first_does_not_count_where_each_is_seen_by_each(stores, tmp_path):
    """A run reads two persons in the frames of both: the same features with the persons exchanged."""
    reading = ["encoder.name=gru", "encoder.hidden=4", "encoder.apart=true", "input.align=torso"]
    overrides = ["epochs=1", "frames=8", "batch_size=2", "accelerator=cpu", *reading]
    features = {}
    for mutual in (False, True):
        options = [*overrides, f"input.mutual={str(mutual).lower()}"]
        run = train("supervised", stores["mixed"].path, "given", tmp_path / str(mutual), overrides=options)
        assert run.config["input"]["mutual"] is mutual
        encoder, clips = load_encoder(run.path), [stores["mixed"].sequence(row) for row in (0, 2)]
        exchanged = [np.ascontiguousarray(clip[:, ::-1]) for clip in clips]
        features[mutual] = [
            extract_features(encoder, clips_of_arrays(some, SBU), np.arange(2)) for some in (clips, exchanged)
        ]
    (plain, plain_exchanged), (mutual, mutual_exchanged) = features[False], features[True]
    np.testing.assert_allclose(mutual, mutual_exchanged, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(plain[0], plain_exchanged[0], rtol=1e-4, atol=1e-5)  # one person
    assert np.abs(plain[1] - plain_exchanged[1]).max() > 1e-3


def test_each_seen_by_each_needs_an_encoder_that_reads_them_one_by_one(stores, tmp_path):
    for name in ("gru", "stgcn"):
        options = [f"encoder.name={name}", "input.mutual=true", "epochs=0", "accelerator=cpu"]
        with pytest.raises(InputError, match=f"leave out who is absent, which {name} does not"):
            train("supervised", stores["mixed"].path, "given", tmp_path / "run", overrides=options)
    assert not (tmp_path / "run").exists()
    alone = [*SMALL, "encoder.present_only=true", "input.mutual=true"]
    run = train("supervised", stores["mixed"].path, "given", tmp_path / "run", overrides=alone)
    assert np.isfinite(extract_features(load_encoder(run.path), stores["mixed"], np.arange(6))).all()


def test_a_run_of_before_takes_the_most_persons_of_the_store(stores):
    graph = SkeletonEncoder(make("stgcn"), InputPipeline(SBU, PREPARATIONS["published"]))
    gru = SkeletonEncoder(make("gru"), InputPipeline(SBU, PREPARATIONS["published"]))
    assert graph.for_store(stores["three"]).pipeline.config.persons == 3
    assert gru.for_store(stores["three"]).pipeline.config.persons == 2
    assert graph.pipeline.config.persons is None


def test_raw_coordinates_of_a_clip_depend_on_no_other(stores):
    store = stores["mixed"]
    whole = raw_features(store, np.arange(6), frames=4, batch_size=4)
    for row in range(6):
        np.testing.assert_array_equal(raw_features(store, np.array([row]), frames=4)[0], whole[row])


def test_each_place_has_a_norm_where_that_is_published(stores, tmp_path):
    small = ["epochs=0", "frames=8", "accelerator=cpu", "encoder.name=hdgcn", "encoder.channels=4"]
    for persons in (1, 2):
        options = [*small, f"input.persons={persons}"] if persons == 1 else small
        run = train("supervised", stores["mixed"].path, "given", tmp_path / str(persons), overrides=options)
        assert run.config["encoder"]["person_norms"] == persons
        assert load_encoder(run.path).encoder.places == (persons if persons > 1 else None)


def test_ms_g3d_of_before_shares_its_norm(stores, tmp_path):
    run = train(
        "supervised",
        stores["mixed"].path,
        "given",
        tmp_path / "run",
        overrides=[
            "epochs=0",
            "frames=8",
            "accelerator=cpu",
            "encoder.name=msg3d",
            "encoder.channels=6",
            "encoder.scales=2",
            "encoder.windows=[]",
            "encoder.person_norms=1",
        ],
    )
    described = json.loads((run.path / "encoder.json").read_text())
    del described["encoder"]["person_norms"]
    expected = extract_features(load_encoder(run.path), stores["mixed"], np.arange(3))
    (run.path / "encoder.json").write_text(json.dumps(described))
    found = extract_features(load_encoder(run.path), stores["mixed"], np.arange(3))
    np.testing.assert_array_equal(found, expected)
