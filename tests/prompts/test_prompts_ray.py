"""The work over two Ray workers: the same store as without, killed in the middle too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from prompt_fakes import FakeText

from kinelex.errors import InputError
from kinelex.prompts import make_prompts, register, registry

pytestmark = pytest.mark.skipif(
    find_spec("ray") is None or find_spec("pandas") is None, reason="the extra 'ray' is not installed"
)

RUN = """
import sys
sys.path.insert(0, sys.argv[3])
from prompt_fakes import FakeText
from kinelex.errors import InputError
from kinelex.prompts import make_prompts, register
register("text encoder", "fake_text", FakeText)
try:
    about = make_prompts(sys.argv[1], sys.argv[2], frames=int(sys.argv[4]), text_encoder="fake_text",
                         ray="local", workers=2, progress=False)
    print("resumed", about.resumed)
except InputError as error:
    print("refused:", error)
"""


def start(store: Path, out: Path, frames: int = 2) -> subprocess.Popen[str]:
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", RUN, str(store), str(out), here, str(frames)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def test_two_workers_killed_and_started_again_make_the_same_store(
    small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = dict(registry._KNOWN["text encoder"])
    monkeypatch.setitem(registry._KNOWN, "text encoder", known)
    register("text encoder", "fake_text", FakeText)
    FakeText.calls_left = -1
    whole, out = tmp_path / "whole.arrow", tmp_path / "p.arrow"
    make_prompts(small_store, whole, frames=2, text_encoder="fake_text", progress=False)
    first = start(small_store, out)
    while first.poll() is None and not list(tmp_path.glob("p.arrow.parts/texts-*")):
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert not out.exists()
    other = start(small_store, out, frames=3)
    assert "refused:" in (said := other.communicate()[0])
    assert "language.frames was 2, now 3" in said
    assert start(small_store, out).communicate()[0].splitlines()[-1] == "resumed True"
    assert out.read_bytes() == whole.read_bytes()
    assert not list(tmp_path.glob("*.parts"))


def test_no_cluster_at_an_address(small_store: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no Ray cluster at 127.0.0.1:1 .*ray start --head"):
        make_prompts(small_store, tmp_path / "p.arrow", ray="127.0.0.1:1", progress=False)
