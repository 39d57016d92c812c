"""`kinelex push`, and runs from the hub, an address, a zip file: the same answers, no pickle, no way out."""

import functools
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from hub_server import HubServer

import kinelex
from kinelex.cli.main import main
from kinelex.data import open_store
from kinelex.errors import InputError
from kinelex.evaluation import evaluate
from kinelex.files.download import file_digest

TOKEN = "hf_secretsecretsecret"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def pushed(judged, model, tmp_path_factory):
    """The zip file of a run that was judged."""
    folder = tmp_path_factory.mktemp("pushed")
    evaluate(judged, protocol="xsub", tasks=["classify"], baselines=False)
    assert main(["push", str(judged), str(folder / "run.zip"), "--json", str(folder / "p.json")]) == 0
    return folder / "run.zip"


def served(server):
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def test_a_zip_file_has_all_that_answering_needs_and_no_pickle(acted, model, pushed, cache, monkeypatch):
    monkeypatch.setattr(torch, "load", None)
    numbers = json.loads((pushed.parent / "p.json").read_text())
    assert numbers["sha256"] == file_digest(pushed)
    with zipfile.ZipFile(pushed) as archive:
        names, config = archive.namelist(), archive.read("config.yaml").decode()
        card = archive.read("README.md").decode()
    assert names == numbers["files"]
    assert {n.rpartition(".")[2] for n in names} == {"md", "yaml", "json", "safetensors", "npz"}
    assert str(acted.folder) not in config + card
    assert "data: actors.arrow" in config
    score = json.loads((model.run / "evaluation" / "classify.json").read_text())
    assert f"| {100 * score['top1']:.1f} | {100 * score['ci95'][0]:.1f} to " in card
    assert "Fill in before you share this" in card
    assert "| protocol | xsub:fold1of3 |" in card
    other = kinelex.load_model(pushed)
    assert other.calibration == model.calibration
    clip = open_store(acted.store).sequence(3)
    np.testing.assert_array_equal(other.predict(clip).probabilities, model.predict(clip).probabilities)
    assert kinelex.load_encoder(pushed).class_names == model.classes
    assert len(list((cache / "kinelex" / "runs").iterdir())) == 1  # unpacked once


def test_an_address_is_loaded_once_and_only_with_its_digest(pushed, model, cache, tmp_path):
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(pushed.parent))
    handler.log_message = lambda *_: None
    server = served(ThreadingHTTPServer(("127.0.0.1", 0), handler))
    address = f"http://127.0.0.1:{server.server_address[1]}/run.zip"
    digest = file_digest(pushed)
    with pytest.raises(InputError, match="#sha256="):
        kinelex.load_encoder(address)
    with pytest.raises(InputError, match="is not the file that is expected"):
        kinelex.load_encoder(f"{address}#sha256={'0' * 64}")
    assert not list(cache.rglob("*.zip"))
    assert kinelex.load_encoder(f"{address}#sha256={digest}").num_features == 32
    server.shutdown()
    server.server_close()
    assert kinelex.load_model(f"{address}#sha256={digest}").classes == model.classes
    with pytest.raises(InputError, match="cannot be loaded"):
        kinelex.load_encoder(f"{address}#sha256={'1' * 64}")


def test_a_zip_file_is_read_within_bounds(judged, cache, tmp_path, monkeypatch):
    def packed(name, **members):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in judged.glob("*.*"):
                archive.write(path, f"deep/{path.name}")
            for member, content in members.items():
                archive.writestr(f"deep/{member}", content)
        return tmp_path / name

    extra = {"checkpoints/last.ckpt": "pickle", "../../out.safetensors": "x", "evil.safetensors": "y"}
    assert kinelex.load_encoder(packed("good.zip", **{"checkpoints/last.ckpt": "pickle"})).num_features == 32
    assert not list(cache.rglob("*.ckpt"))
    with pytest.raises(InputError, match="is no file of a run"):
        kinelex.load_encoder(packed("out.zip", **extra))
    assert not list(tmp_path.parent.rglob("out.safetensors"))
    link = zipfile.ZipInfo("deep/link.safetensors")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(packed("link.zip"), "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match="is no file of a run"):
        kinelex.load_encoder(tmp_path / "link.zip")
    beside = {f"evaluation/{number}.json": "{}" for number in range(1010)}
    with (
        zipfile.ZipFile(tmp_path / "many.zip", "w") as archive,
        zipfile.ZipFile(tmp_path / "good.zip") as good,
    ):
        for name, content in beside.items():
            archive.writestr(f"deep/{name}", content)
        for name in good.namelist():
            archive.writestr(name, good.read(name))
    assert kinelex.load_encoder(tmp_path / "many.zip").num_features == 32  # other files are not counted
    monkeypatch.setattr("kinelex.files.folder_zip.MOST_FILES", 2)
    with pytest.raises(InputError, match="or 2 files"):
        kinelex.load_encoder(packed("files.zip", **{"other.safetensors": "x"}))
    monkeypatch.setattr("kinelex.files.folder_zip.MOST_BYTES", 10_000)
    with pytest.raises(InputError, match="unpacks to more than"):
        kinelex.load_encoder(packed("bomb.zip", **{"zeros.safetensors": bytes(1 << 20)}))
    (tmp_path / "none.zip").write_bytes(b"no zip")
    with pytest.raises(InputError, match="no zip file"):
        kinelex.load_encoder(tmp_path / "none.zip")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    with pytest.raises(InputError, match=r"no encoder\.json"):
        kinelex.load_encoder(tmp_path / "empty.zip")


def test_push_to_a_hub_and_load_from_it(judged, model, acted, tmp_path):
    """In processes of their own: huggingface_hub reads its endpoint when it is imported."""
    own = tmp_path / "run"
    shutil.copytree(judged, own, ignore=shutil.ignore_patterns("checkpoints", "tensorboard"))
    (own / "README.md").write_text("# My own card\n")
    server = served(HubServer(TOKEN))
    env = {**os.environ, "HF_ENDPOINT": server.address, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": TOKEN}
    env["HF_HUB_DISABLE_XET"] = "1"

    def run(*words, **more):
        return subprocess.run([sys.executable, *words], capture_output=True, text=True, env={**env, **more})

    done = run("-m", "kinelex.cli", "push", str(own), "me/run")
    assert done.returncode == 0, done.stderr
    assert "kinelex.load_model('hf://me/run')" in done.stdout
    assert TOKEN not in done.stdout + done.stderr
    assert server.files["README.md"] == b"# My own card\n"
    assert not any(name.endswith((".ckpt", ".pt", ".bin")) for name in server.files)
    server.files["pickle.ckpt"] = b"not to be loaded"
    code = """
import sys, torch, kinelex
torch.load = None
store = kinelex.open_store(sys.argv[1])
model = kinelex.load_model("hf://me/run")
print(kinelex.load_encoder("hf://me/run").num_features, model.predict(store.sequence(3)).probability)
try: kinelex.load_encoder("hf://me/none")
except kinelex.errors.InputError as error: print(error)
"""
    loaded = run("-c", code, str(acted.store))
    assert loaded.returncode == 0, loaded.stderr
    numbers, refused = loaded.stdout.splitlines()
    wanted = model.predict(open_store(acted.store).sequence(3)).probability
    assert [float(number) for number in numbers.split()] == pytest.approx([32, wanted], rel=1e-5)
    assert refused.startswith("hf://me/none: expects user/name of a repository that you may read")
    assert "/me/run/resolve" in " ".join(server.asked)
    assert not any("pickle.ckpt" in path for path in server.asked)
    refused = run("-m", "kinelex.cli", "push", str(own), "me/run", HF_TOKEN="hf_wrong")
    assert refused.returncode == 2
    assert "hf_wrong" not in refused.stderr
    assert "Traceback" not in refused.stderr
    server.shutdown()


def test_a_run_that_tells_no_classes_here_says_so(acted, tmp_path, capsys):
    ignored = shutil.ignore_patterns("checkpoints", "tensorboard", "evaluation")
    run = shutil.copytree(acted.run, tmp_path / "run", ignore=ignored)
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace(str(acted.store), str(tmp_path / "gone.arrow")))
    assert main(["push", str(run), str(tmp_path / "run.zip")]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "features alone are shared" in said
    assert "gone.arrow" in said


def test_wrong_input_is_one_message(judged, tmp_path, capsys):
    for words, said in (
        ([judged, "no repository"], "expects user/name"),
        ([judged, "/etc/run"], "expects user/name"),
        ([tmp_path, "me/run"], "is no run directory"),
    ):
        assert main(["push", *map(str, words)]) == 2
        assert said in capsys.readouterr().err
    run = shutil.copytree(judged, tmp_path / "run")
    (run / "evaluation").mkdir(exist_ok=True)
    for name, content, said in (
        ("evaluation/knn.json", b"{", "knn.json is damaged"),
        ("README.md", b"caf\xe9", "README.md: cannot be read"),
    ):
        (run / name).write_bytes(content)
        assert main(["push", str(run), str(tmp_path / "run.zip")]) == 2
        assert said in capsys.readouterr().err
    (run / "README.md").unlink()
    (run / "evaluation" / "knn.json").write_text('{"top1": 0.5, "ci95": null, "counts": null}')
    assert main(["push", str(run), str(tmp_path / "run.zip")]) == 0
