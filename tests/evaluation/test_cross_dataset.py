"""A classifier judged on another data set: class maps, retargeting, and the numbers by a loop."""

import io
import json
import re
import shutil

import numpy as np
import pytest
import torch
from rich.console import Console

from kinelex import encoders
from kinelex.cli import main
from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.datasets.reader import class_names
from kinelex.errors import InputError
from kinelex.evaluation import evaluate_on
from kinelex.evaluation.protocols.cross_dataset import class_map_names, read_class_map
from kinelex.inference.features import extract_features
from kinelex.reports import evaluate
from kinelex.skeleton import SkeletonLayout, get_layout, retarget_matrix
from kinelex.training.encoder_files import load_encoders, save_encoders
from kinelex.training.run_directory import RunDirectory
from kinelex.transforms import InputConfig, InputPipeline

NTU = get_layout("ntu25")
KNOWN = ("sit", "stand", "wave", "squat", "jump")


def quiet() -> Console:
    return Console(file=io.StringIO(), width=160)


def make_classifier(path, streams=("joint", "bone"), encoder=None, **config) -> RunDirectory:
    """A run of ntu25 with random encoders and classifiers of five classes."""
    options = encoder or {"name": "stgcn", "channels": 4, "depth": [1, 1, 1]}
    about = {
        "recipe": "supervised",
        "dataset": "somewhere",
        "protocol": "xsub",
        "prompts": None,
        "method": {"name": "supervised"},
        "encoder": options,
        "input": {},
        **config,
    }
    run = RunDirectory.create(path, about)
    torch.manual_seed(0)
    rest = {k: v for k, v in options.items() if k != "name"}
    made = {s: encoders.create(options["name"], layout=NTU, **rest) for s in streams}
    linears = {s: torch.nn.Linear(e.num_features, len(KNOWN)) for s, e in made.items()}
    for linear in linears.values():
        linear.weight.data *= 20  # so that not all clips get the same class
    pipeline = InputPipeline(NTU, InputConfig(frames=16))
    save_encoders(run.path, made, options, pipeline, linears, KNOWN)
    return run


@pytest.fixture
def known(tmp_path) -> RunDirectory:
    return make_classifier(tmp_path / "known")


@pytest.fixture
def class_map(tmp_path):
    path = tmp_path / "map.yaml"
    path.write_text("a: wave\na3: sit\n")
    return path


def test_numbers_are_those_of_a_loop_over_retargeted_clips(known, store, class_map, tmp_path):
    matrix = retarget_matrix(store.layout, NTU)
    path = tmp_path / "as_ntu.arrow"
    with SkeletonStoreWriter(path, StoreMeta("x", NTU, ("a", "b", "c"))) as writer:
        for i in range(len(store)):
            x = np.einsum("uv,tmvc->tmuc", matrix, store.sequence(i))
            writer.add(Sequence(store.ids[i], x, int(store.labels[i])))
    as_ntu = open_store(path)
    loaded = load_encoders(known.path)
    for encoder in loaded.values():  # centred features: else an untrained encoder takes all for one class
        mean = torch.from_numpy(extract_features(encoder, as_ntu, np.arange(48)).mean(axis=0))
        encoder.classifier.bias.data = -encoder.classifier.weight.data @ mean
    made, linears = ({s: getattr(e, name) for s, e in loaded.items()} for name in ("encoder", "classifier"))
    pipeline = loaded["joint"].pipeline
    save_encoders(known.path, made, known.config["encoder"], pipeline, linears, KNOWN)
    console = quiet()
    result = evaluate_on(known.path, store.path, class_map, console=console)
    logits = {}
    for stream, encoder in load_encoders(known.path).items():
        weight, bias = encoder.last_layer()
        logits[stream] = extract_features(encoder, as_ntu, np.arange(48)) @ weight.T + bias
    truth = {0: 2, 2: 0}  # a is wave, c is sit
    right = right_mapped = n = 0
    taken: dict[tuple[str, str], int] = {}
    alone = dict.fromkeys(logits, 0)
    for i in range(48):
        label = int(store.labels[i])
        if label not in truth:
            continue
        n += 1
        total = np.zeros(5)
        for stream, z in logits.items():
            total += np.exp(z[i]) / sum(np.exp(v) for v in z[i])
            alone[stream] += int(np.argmax(z[i])) == truth[label]
        guess = int(np.argmax(total))
        key = ("abc"[label], KNOWN[guess])
        taken[key] = taken.get(key, 0) + 1
        right += guess == truth[label]
        right_mapped += (2 if total[2] > total[0] else 0) == truth[label]
    assert result["counts"] == {"clips": n, "other_clips": 48 - n, "mapped_classes": 2, "classes": 5}
    assert result["top1"] == pytest.approx(right / n)
    assert result["top1_mapped"] == pytest.approx(right_mapped / n)
    assert len({guess for _, guess in taken}) > 1  # else the test could not fail
    table = result["confusion"]
    assert table["rows"] == ["a", "c"]
    found = {
        (row, column): count
        for row, counts in zip(table["rows"], table["counts"], strict=True)
        for column, count in zip(table["columns"], counts, strict=True)
        if count
    }
    assert found == taken
    for stream, count in alone.items():
        assert result["streams"][stream]["top1"] == pytest.approx(count / n)
    assert (result["chance"], result["chance_mapped"]) == (0.2, 0.5)
    assert result["class_map"] == {"a": "wave", "c": "sit"}
    assert result["retargeted"] == "kinect20 to ntu25"
    per_class = result["per_class"]
    assert [per_class[k]["clips"] for k in "ac"] == [16, 16]
    assert result["mean_class"] == pytest.approx(np.mean([per_class[k]["top1"] for k in "ac"]))
    assert per_class["a"]["top1"] == pytest.approx(taken.get(("a", "wave"), 0) / 16)
    written = json.loads((known.path / "evaluation" / "on_utd_mhad-all-map.json").read_text())
    assert written == result
    text = console.file.getvalue()
    for words in (
        "somewhere on utd_mhad (all clips): 32 clips",
        "wave",
        "chance",
        "20.0",
        "kinect20 to ntu25",
    ):
        assert words in text


def test_a_protocol_judges_its_test_part_and_two_classes_may_be_one(known, store, tmp_path):
    path = tmp_path / "both.yaml"
    path.write_text("a: wave\nb: wave\n")
    result = evaluate_on(known.path, store.path, path, protocol="xsub", console=quiet())
    assert result["counts"]["clips"] == 16
    assert (result["chance_mapped"], result["top1_mapped"]) == (1.0, 1.0)


def test_the_packaged_map_is_the_papers():
    assert class_map_names() == ("utd_mhad_to_ntu120",)
    pairs = read_class_map("utd_mhad_to_ntu120", class_names("utd_mhad"), class_names("ntu120"))
    assert pairs == {2: 22, 5: 95, 6: 62, 23: 8, 24: 7, 26: 79}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: waev\n", "unknown class of the run .*'waev': did you mean 'wave'"),
        ("d: wave\n", "unknown class of the other set .*'d'"),
        ("a9: wave\n", "has a9, the other set has A1 to A3"),
        ("a0: wave\n", "has a0, the other set has A1 to A3"),
        ("a: wave\na1: sit\n", "has 'a' twice"),
        ("a: wave\nb: sit\na: sit\n", "the key 'a' is there twice"),
        ("a: 3\n", "has 3, which is no text: put it in quotes"),
        ("on: wave\n", "has True, which is no text"),
        ("- a\n", "is no mapping"),
        ("", "is no mapping"),
        ("a: [", "cannot be read as YAML"),
        (b"\xff\xfe\x00", "cannot be read as YAML"),
    ],
)
def test_wrong_maps_are_one_message(known, store, tmp_path, text, said):
    path = tmp_path / "m.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=said):
        evaluate_on(known.path, store.path, path)
    assert not list((known.path / "evaluation").glob("*"))


def test_what_cannot_be_judged_is_refused(known, run, store, class_map, tmp_path):
    with pytest.raises(InputError, match=r"none.yaml does not exist: expects a YAML file"):
        evaluate_on(known.path, store.path, tmp_path / "none.yaml")
    with pytest.raises(InputError, match="unknown class map 'utd_to_ntu'"):
        evaluate_on(known.path, store.path, "utd_to_ntu")
    with pytest.raises(InputError, match="has no classifier"):
        evaluate_on(run.path, store.path, class_map)
    legs = SkeletonLayout.from_yaml("name: legs\njoints: {pelvis: pelvis, left_knee: pelvis}")
    for name, layout, channels, said in (
        ("legs", legs, 3, "layout legs has neither the joint 'shoulder_center'|layout legs has neither"),
        ("flat", get_layout("coco17"), 2, "the run reads 3-D coordinates, .* has 2-D ones"),
    ):
        with SkeletonStoreWriter(tmp_path / name, StoreMeta(name, layout, ("a", "b", "c"))) as writer:
            writer.add(Sequence("s", np.ones((3, 1, layout.num_joints, channels)), 0))
        with pytest.raises(InputError, match=said):
            evaluate_on(known.path, tmp_path / name, class_map)
    gru = {"name": "gru", "hidden": 4, "layers": 1, "persons": 1}
    one_person = make_classifier(tmp_path / "one", ("joint",), gru)
    with SkeletonStoreWriter(tmp_path / "pair", StoreMeta("pair", NTU, ("a", "b", "c"))) as writer:
        writer.add(Sequence("s", np.ones((3, 2, 25, 3)), 0))
    console = Console(file=io.StringIO(), width=200)
    evaluate_on(one_person.path, tmp_path / "pair", class_map, console=console)
    assert "1 of 1 clips have more persons than the run has places for" in console.file.getvalue()
    with SkeletonStoreWriter(tmp_path / "b", StoreMeta("b", NTU, ("a", "b", "c"))) as writer:
        writer.add(Sequence("s", np.ones((3, 1, 25, 3)), 1))
    with pytest.raises(InputError, match="has no clip of the classes in"):
        evaluate_on(known.path, tmp_path / "b", class_map)
    learned = make_classifier(tmp_path / "learned", store_fingerprint=store.fingerprint)
    with pytest.raises(
        InputError, match=r"learned the labels of 16 of the 32 test clips \(trained on xsub\)"
    ):
        evaluate_on(learned.path, store.path, class_map)
    assert evaluate_on(learned.path, store.path, class_map, "xsub", console=quiet())["counts"]["clips"] == 16


def test_the_command_line(known, store, class_map, tmp_path, capsys):
    words = ["evaluate", str(known.path), "--on", str(store.path), "--class-map", str(class_map)]
    assert main([*words, "--json", str(tmp_path / "n.json")]) == 0
    assert json.loads((tmp_path / "n.json").read_text())["counts"]["clips"] == 32
    assert "on_utd_mhad-all-map.json" in capsys.readouterr().out
    assert main([*words, "--tasks", "knn"]) == 2
    assert "leave out --tasks" in capsys.readouterr().err
    assert main(words[:4]) == 2
    assert "--on STORE and --class-map MAP belong together" in capsys.readouterr().err


def test_each_protocol_and_map_has_its_own_file_and_the_report_lists_them(known, run, store, tmp_path):
    small, wide = tmp_path / "small.yaml", tmp_path / "wide.yaml"
    small.write_text("a: wave\n")
    wide.write_text("{a: wave, b: sit, c: jump}\n")
    results = {
        name: evaluate_on(known.path, store.path, given, protocol, console=quiet())
        for name, given, protocol in (
            ("on_utd_mhad-all-small.json", small, None),
            ("on_utd_mhad-xsub-small.json", small, "xsub"),
            ("on_utd_mhad-xsub_fold1of2-wide.json", wide, "xsub:fold1of2"),
        )
    }
    folder = known.path / "evaluation"
    assert {path.name: json.loads(path.read_text()) for path in folder.glob("*.json")} == results
    shutil.copytree(folder, run.path / "evaluation")
    (run.path / "evaluation" / "on_damaged.json").write_text("{")
    evaluate(run.path, tasks=("knn",), console=quiet())
    page = (run.path / "report.html").read_text()
    section = page[page.index('id="others"') :].split("</section>")[0]
    rows = [re.findall(r"<td[^>]*>([^<]*)", row) for row in section.split("<tr>")[2:]]
    assert [row[:4] for row in rows] == [
        ["utd_mhad", "all clips", "small", "16"],
        ["utd_mhad", "xsub", "small", "8"],
        ["utd_mhad", "xsub:fold1of2", "wide", "12"],
    ]
    found = results["on_utd_mhad-xsub_fold1of2-wide.json"]
    assert rows[2][4:] == [
        f"{100 * found[k]:.1f}" for k in ("top1", "chance", "top1_mapped", "chance_mapped")
    ]
    shutil.rmtree(run.path / "evaluation")
    evaluate(run.path, tasks=("knn",), console=quiet())
    assert "others" not in (run.path / "report.html").read_text()
