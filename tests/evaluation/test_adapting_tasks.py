"""Tasks that train: against `adapt` by hand, stopped in the middle, and with nothing left behind."""

import io
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.data.labelled_clips import subject_groups
from kinelex.datasets import get_split
from kinelex.datasets.sysu import CLASSES
from kinelex.errors import InputError
from kinelex.evaluation import evaluate
from kinelex.evaluation.context import Context
from kinelex.evaluation.protocols import adapted
from kinelex.evaluation.protocols.finetune import Finetune, FinetuneOptions
from kinelex.evaluation.protocols.semi import Semi, SemiOptions
from kinelex.evaluation.protocols.transfer import Transfer, TransferOptions
from kinelex.inference.features import extract_features
from kinelex.inference.linear_probe import linear_probe
from kinelex.inference.neighbours import knn
from kinelex.skeleton import get_layout, retarget_matrix
from kinelex.training import fit as training
from kinelex.training.adapt import AdaptOptions, adapt
from kinelex.training.encoder_files import load_encoders
from kinelex.training.run_directory import RunDirectory
from kinelex.training.train import train

SHORT = ("epochs=2", "precision=32-true")
NTU, KINECT = get_layout("ntu25"), get_layout("kinect20")


def quiet() -> Console:
    return Console(file=io.StringIO(), width=120)


def context_of(run, store_path) -> Context:
    store, run = open_store(store_path), RunDirectory(run)
    split = get_split(store, "xsub")
    trained = load_encoders(run.path)
    return Context(run, trained, store, "xsub", split.train, split.test, console=quiet())


@pytest.fixture
def actors(acted, tmp_path) -> Context:
    """The first training without labels, in a folder of its own."""
    shutil.copytree(acted.run, tmp_path / "run", ignore=shutil.ignore_patterns("evaluation"))
    return context_of(tmp_path / "run", acted.store)


@pytest.fixture(scope="module")
def kinect(acted, tmp_path_factory):
    """48 of the acted clips as Kinect v1 would see them, named as SYSU; and the same in NTU's layout."""
    actors = open_store(acted.store)
    there, back = retarget_matrix(NTU, KINECT), retarget_matrix(KINECT, NTU)
    folder = tmp_path_factory.mktemp("kinect")
    paths = folder / "kinect.arrow", folder / "again.arrow"
    for path, layout in zip(paths, (KINECT, NTU), strict=True):
        with SkeletonStoreWriter(path, StoreMeta("sysu", layout, CLASSES)) as writer:
            for i in range(48):
                row = int(np.flatnonzero(actors.labels == i % 12)[i // 12])
                clip = np.einsum("uv,tmvc->tmuc", there, actors.sequence(row)[:, :1])
                if layout is NTU:
                    clip = np.einsum("uv,tmvc->tmuc", back, clip)
                writer.add(Sequence(f"clip{i}", clip, i % 12, subject=1 + i // 12))
    return paths


def unfinished(context: Context) -> list[str]:
    return sorted(p.name for p in (context.run.path / "evaluation").glob("unfinished/*"))


def by_hand(context: Context, store, protocol: str, out, *changes: str, **more) -> np.ndarray:
    """Logits after `kinelex adapt --mode full`."""
    overrides = [*SHORT, "accelerator=cpu", *changes]
    options = AdaptOptions(overrides=overrides, **more)
    adapt(context.run.path, store.path, protocol, out, "full", options, quiet())
    encoder = load_encoders(out)["joint"]
    weight, bias = encoder.last_layer()
    test = get_split(store, protocol).test
    return extract_features(encoder, store, test) @ weight.T + bias


def counting(monkeypatch) -> list[str]:
    """The protocols that were trained on."""
    protocols: list[str] = []

    def counted(run, data, protocol, *args, **more):
        protocols.append(protocol)
        return adapt(run, data, protocol, *args, **more)

    monkeypatch.setattr("kinelex.training.adapt.adapt", counted)
    return protocols


def test_finetune_is_adapt_and_leaves_nothing(actors, tmp_path):
    result = Finetune().run(actors, FinetuneOptions(SHORT))
    expected = by_hand(actors, actors.store, "xsub", tmp_path / "by_hand")
    np.testing.assert_allclose(result.scores[""], expected, rtol=1e-4, atol=1e-4)
    assert result.numbers["top1"] == (expected.argmax(axis=1) == actors.truth).mean()
    assert "a new classifier" in result.numbers["rule"]
    assert not (actors.run.path / "evaluation" / "unfinished").exists()


def test_finetune_goes_on_where_it_was_stopped(actors, monkeypatch):
    whole = adapted.adapted_scores(actors, "xsub", SHORT)["joint"]
    shutil.rmtree(actors.run.path / "evaluation")
    saved = training.EpochCheckpoint.on_train_epoch_end

    def stopping(self, trainer, module):
        saved(self, trainer, module)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training.EpochCheckpoint, "on_train_epoch_end", stopping)
        with pytest.raises(KeyboardInterrupt):
            adapted.adapted_scores(actors, "xsub", SHORT)
    (left,) = unfinished(actors)
    left = actors.run.path / "evaluation" / "unfinished" / left
    with pytest.raises(InputError, match="has not finished"):
        load_encoders(left)
    first = (left / "metrics.csv").read_text().splitlines()[1]
    seen = []
    finished = adapted._finished

    def looked_at(out):
        seen.append((out / "metrics.csv").read_text().splitlines()[1])
        return finished(out)

    monkeypatch.setattr(adapted, "_finished", looked_at)
    again = adapted.adapted_scores(actors, "xsub", SHORT)["joint"]
    np.testing.assert_array_equal(again, whole)
    assert seen == [first]  # not begun anew
    assert unfinished(actors) == []


def test_a_finished_training_is_read_and_a_useless_one_made_anew(actors, monkeypatch):
    trained = counting(monkeypatch)

    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(adapted, "extract_all", killed)
        with pytest.raises(KeyboardInterrupt):
            adapted.adapted_scores(actors, "xsub", SHORT)
    (left,) = unfinished(actors)
    found = adapted.adapted_scores(actors, "xsub", SHORT)
    assert trained == ["xsub"]
    shutil.rmtree(actors.run.path / "evaluation")
    useless = actors.run.path / "evaluation" / "unfinished" / left
    useless.mkdir(parents=True)
    (useless / "config.yaml").write_text("method: {na")
    again = adapted.adapted_scores(actors, "xsub", SHORT)
    np.testing.assert_array_equal(again["joint"], found["joint"])
    assert trained == ["xsub", "xsub"]
    assert unfinished(actors) == []


def test_two_processes_do_not_train_the_same(actors):
    out = actors.run.path / "evaluation" / "unfinished" / "x"
    code = "import sys\nfrom kinelex.evaluation.protocols.adapted import _alone\nfrom pathlib import Path\n"
    code += "with _alone(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    command = [sys.executable, "-c", code, str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="another process is fine-tuning"), adapted._alone(out):
            pass
    assert other.returncode == 0
    with adapted._alone(out):  # nobody holds it any more
        pass
    assert unfinished(actors) == []


def test_from_scratch_begins_with_the_untrained_weights(actors, monkeypatch):
    begun = []

    def looked_at(run, *args, **more):
        begun.append(load_encoders(run)["joint"])
        return adapt(run, *args, **more)

    monkeypatch.setattr("kinelex.training.adapt.adapt", looked_at)
    result = Finetune().run(actors, FinetuneOptions(SHORT, scratch=True))
    for encoder, seed in zip(begun, (None, 0), strict=True):
        expected = load_encoders(actors.run.path, untrained_seed=seed)["joint"].encoder.state_dict()
        assert all(torch.equal(v, expected[k]) for k, v in encoder.encoder.state_dict().items())
    assert set(result.numbers["scratch"]) >= {"top1", "ci95"}
    assert unfinished(actors) == []


def test_a_change_that_the_recipe_does_not_take_leaves_nothing(actors):
    with pytest.raises(InputError, match="epochz"):
        Finetune().run(actors, FinetuneOptions(("epochz=2",)))
    assert unfinished(actors) == []


def test_few_labels_fine_tuned_are_those_of_adapt_and_a_draw_is_trained_once(actors, tmp_path, monkeypatch):
    trained = counting(monkeypatch)
    Semi().run(actors, SemiOptions((0.4,), ("balanced",), draws=1, changes=SHORT))
    options = SemiOptions((0.4,), ("balanced",), draws=2, changes=SHORT)
    result = Semi().run(actors, options)
    assert trained == ["xsub:few-balanced:0.4:0", "xsub:few-balanced:0.4:1"]
    for seed in range(2):
        out = tmp_path / f"by_hand{seed}"
        adapted = (actors, actors.store, "xsub", out, f"training.seed={seed}")
        scores = by_hand(*adapted, labels=0.4)
        rate = (scores.argmax(axis=1) == actors.truth).mean()
        assert result.numbers["balanced"]["40%"]["draws"][seed] == rate
    assert unfinished(actors) == []


def test_few_labels_as_cmd_publishes_train_the_joint_stream_alone(acted, tmp_path, quick):
    """Of a run with several streams; the same by `adapt` with the recipe, by hand."""
    changes = [c for c in quick if not c.startswith("dim=")]
    small = [*changes, "name=stgcn", "streams=joint,motion", "queue=32", "top_k=8", "dim=8"]
    changed = ["encoder.name=stgcn" if c == "name=stgcn" else c for c in small if not c.startswith("hidden=")]
    run = train("cmd", acted.store, "xsub", tmp_path / "cmd", overrides=changed, console=quiet()).path
    context = context_of(run, acted.store)
    recipe = Path("adapt/cmd_semi")
    options = SemiOptions((0.4,), ("random",), draws=1, changes=SHORT, recipe=recipe)
    result = Semi().run(context, options).numbers
    assert "recipe adapt/cmd_semi with" in result["rule"]
    how = AdaptOptions(overrides=[*SHORT, "accelerator=cpu"], recipe="adapt/cmd_semi")
    made = adapt(run, acted.store, "xsub:few-random:0.4:0", tmp_path / "by_hand", "full", how, quiet())
    encoders = load_encoders(made.path)
    assert list(encoders) == ["joint"]
    assert made.config["optimizer"]["milestones"] == [50, 70]
    weight, bias = encoders["joint"].last_layer()
    scores = extract_features(encoders["joint"], context.store, context.test) @ weight.T + bias
    rate = (scores.argmax(axis=1) == context.truth).mean()
    assert result["random"]["40%"]["draws"] == [rate]
    with pytest.raises(InputError, match=r"semi\.recipe is of semi\.by=full"):
        SemiOptions(by="linear", recipe=recipe)
    with pytest.raises(
        InputError, match="--mode linear expects method.name supervised and method.frozen true"
    ):
        adapt(run, acted.store, "xsub", tmp_path / "no", "linear", AdaptOptions(recipe="adapt/cmd_semi"))


def test_a_recipe_of_a_stream_that_the_run_lacks_is_refused(actors, tmp_path):
    recipe = tmp_path / "bone.yaml"
    recipe.write_text("method: {name: supervised, streams: [bone]}")
    options = SemiOptions((0.4,), ("random",), draws=1, recipe=recipe)
    with pytest.raises(InputError, match="adapts the stream bone, the run has joint"):
        Semi().check(actors, options)


def test_labels_that_the_run_has_learned_are_not_few(acted, tmp_path, quick):
    changes = [c for c in quick if not c.startswith(("dim=", "hidden="))]
    run = train("supervised", acted.store, "xsub", tmp_path / "learned", overrides=changes, console=quiet())
    with pytest.raises(InputError, match="semi asks what few labels are worth"):
        Semi().run(context_of(run.path, acted.store), SemiOptions(by="linear"))
    judged = Finetune().run(context_of(run.path, acted.store), FinetuneOptions(("epochs=1",)))
    assert "and its classifier" in judged.numbers["rule"]


def test_transfer_to_another_layout_and_other_classes(actors, kinect, tmp_path):
    protocol = "random:0.5:0"
    options = TransferOptions(kinect[0], protocol, ("knn", "linear", "full"), SHORT)
    numbers = Transfer().run(actors, options).numbers
    again = open_store(kinect[1])  # retargeted before it was stored
    split, encoder = get_split(again, protocol), actors.encoders["joint"]
    train, test = (extract_features(encoder, again, rows) for rows in (split.train, split.test))
    truth, labels = again.labels[split.test], again.labels[split.train]
    votes = knn(train, labels, test, 12).scores
    probe = linear_probe(train, labels, 12, subject_groups(again, split.train)).scores(test)
    tuned = by_hand(actors, open_store(kinect[0]), protocol, tmp_path / "by_hand")
    for way, scores in (("knn", votes), ("linear", probe), ("full", tuned)):
        assert numbers["by"][way]["top1"] == (scores.argmax(axis=1) == truth).mean(), way
    assert numbers["top1"] == numbers["by"]["full"]["top1"]
    assert (numbers["to"], numbers["retargeted"]) == ("sysu", "kinect20 to ntu25")
    assert numbers["chance"] == 1 / 12
    assert set(numbers["by"]["knn"]["scratch"]) == {"top1", "ci95", "top5", "mean_class"}
    assert "scratch" not in numbers["by"]["full"]


def test_transfer_by_evaluate_is_cached_by_the_other_stores_content(actors, kinect, tmp_path):
    moved = tmp_path / "moved.arrow"
    shutil.copy(kinect[0], moved)
    given = {"transfer": {"data": str(kinect[0]), "protocol": "random:0.5:0", "by": "knn"}}

    def judged(**more):
        console = quiet()
        options = {"transfer": {**given["transfer"], **more}}
        found = evaluate(
            actors.run.path, tasks=("transfer",), options=options, baselines=False, console=console
        )
        return found["transfer"], "transfer: cached" in console.file.getvalue()

    first, cached = judged()
    assert first["title"] == "transfer to sysu random:0.5:0"  # not a row of the run's own set
    assert not cached
    assert judged(data=str(moved)) == (first, True)
    assert not judged(protocol="random:0.5:1")[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (lambda own, other: TransferOptions(), r"transfer\.data=STORE"),
        (lambda own, other: TransferOptions(other), r"transfer\.protocol=P"),
        (lambda own, other: TransferOptions(own, "xsub"), "expects another data set's"),
        (lambda own, other: TransferOptions(other, "xsub"), "xsub"),
        (lambda own, other: TransferOptions(other, "random:0.5:0", ("svm",)), "way to transfer"),
        (lambda own, other: TransferOptions(other, "x", ("knn",), SHORT), "are of full"),
    ],
)
def test_what_cannot_be_transferred_is_refused(actors, kinect, options, said):
    with pytest.raises(InputError, match=said):
        Transfer().run(actors, options(actors.store.path, kinect[0]))
