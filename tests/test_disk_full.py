"""No room on the disk: one message that names the file, status 2, nothing half left, and it goes on later."""

import json

import numpy as np
import pytest
import yaml
from processes import run_python

from kinelex.cli import main

pytest.importorskip("resource", reason="limits of the size of files are POSIX")
SCRIPT = """
import json, resource, signal, sys
from kinelex.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for size, words in json.loads(sys.argv[1]):
    print("begun", file=sys.stderr, flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    print("status", main(words), file=sys.stderr, flush=True)
"""
ROOM = {"the config's": 1300, "the tables'": 50_000}  # bytes that a file may have


def _verbs(acted, quick, folder):
    """Words of the verbs that train, by name; each into a folder of its own."""
    data = ["--data", acted.store, "--protocol", "xsub"]
    prompts, often = ["--prompts", acted.prompts], [*quick, "checkpoint_every=1"]
    made = {
        "train": ["train", "c2vl", *data, *prompts, *often],
        "adapt": ["adapt", acted.run, *data, "--mode", "full", *often[-2:], "epochs=1"],
        "study": ["study", "beta", *data, *prompts, *often, "--seeds", "0", "--tasks", "knn", "beta=0"],
    }
    return {verb: [*map(str, words), "--out", str(folder / verb)] for verb, words in made.items()}


def test_a_full_disk_is_one_message_and_the_run_goes_on_later(acted, quick, tmp_path):
    verbs = {
        (room, verb): words for room in ROOM for verb, words in _verbs(acted, quick, tmp_path / room).items()
    }
    asked = json.dumps([(ROOM[room], words) for (room, _), words in verbs.items()])
    ran = run_python(SCRIPT, asked)
    assert ran.returncode == 0, ran.stderr[-2000:]
    told = ran.stderr.split("begun\n")[1:]
    for (room, verb), text in zip(verbs, told, strict=True):
        lines = text.splitlines()
        messages = [line for line in lines if line.startswith("kinelex: error: ")]
        (message,) = messages
        assert lines[-1] == "status 2", (room, verb)
        assert str(tmp_path / room / verb) in message
        assert message.endswith("too large; make room and start again, what was finished is kept")
        assert "Traceback" not in text
    for path in tmp_path.rglob("*"):
        if path.is_file() and "tensorboard" not in path.parts:
            _read(path)
    for verb in ("train", "adapt"):
        assert main([*verbs["the tables'", verb], "--resume"]) == 0


def _read(path):
    """A file that is there is whole."""
    assert not path.name.endswith(".tmp")
    assert path.suffix in (".yaml", ".json", ".csv", ".npz", ".lock"), path
    if path.suffix == ".yaml":
        assert yaml.safe_load(path.read_text())["method"]
    elif path.suffix == ".json":
        assert json.loads(path.read_text())
    elif path.suffix == ".npz":
        assert len(np.load(path).files) > 1
