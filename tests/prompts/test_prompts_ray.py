"""The work over two Ray workers: the same store as without, killed in the middle too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from copy import copy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prompt_fakes import FakeText, ShyLanguage

from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta
from kinelex.errors import InputError
from kinelex.prompts import ClipTexts, make_prompts, register, registry
from kinelex.skeleton import get_layout

pytestmark = pytest.mark.skipif(
    find_spec("ray") is None or find_spec("pandas") is None, reason="the extra 'ray' is not installed"
)

RUN = """
import sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from test_prompts_ray import register_fakes, work
register_fakes()
work(Path(sys.argv[1]), Path(sys.argv[2]), ray=sys.argv[4])
"""


class Slow(ShyLanguage):
    """Takes its time while the file ``slow`` lies beside the store, so that it can be killed meanwhile."""

    name = "slow"

    def __init__(self, context: Any) -> None:
        super().__init__(context)
        self._sign = context.store.path.with_name("slow")

    def texts(self, row: int, indices: np.ndarray) -> ClipTexts | None:
        time.sleep(0.2 if self._sign.exists() else 0)
        return super().texts(row, indices)


def register_fakes() -> None:
    register("text encoder", "fake_text", FakeText)
    register("language engine", "slow", Slow)


def work(store: Path, out: Path, **options: Any) -> Any:
    settings = {"language": "slow", "frames": 2, "text_encoder": "fake_text", "progress": False}
    return make_prompts(store, out, **{**settings, **options})


@pytest.fixture
def two_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of one clip more than a shard holds; the engines that describe it are known."""
    for kind in ("text encoder", "language engine"):
        monkeypatch.setitem(registry.PARTS, kind, copy(registry.PARTS[kind]))
    register_fakes()
    FakeText.calls_left = -1
    path = tmp_path / "store.arrow"
    with SkeletonStoreWriter(path, StoreMeta("tiny", get_layout("kinect20"), ("a",))) as writer:
        for i in range(33):
            writer.add(Sequence(f"clip{i}", np.ones((2 + i, 1, 20, 3), np.float32), label=0))
    return path


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A Ray cluster with two cores and nothing that is not needed; gives its address."""
    import ray

    os.environ.setdefault("RAY_worker_niceness", "0")
    context = ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=80 << 20)
    yield context.address_info["gcs_address"]
    ray.shutdown()


def test_two_workers_killed_and_started_again_make_the_same_store(
    two_shards: Path, tmp_path: Path, cluster: str
) -> None:
    whole, out, here = tmp_path / "whole.arrow", tmp_path / "p.arrow", str(Path(__file__).parent)
    work(two_shards, whole)
    (tmp_path / "slow").touch()
    run = [sys.executable, "-c", RUN, str(two_shards), str(out), here, cluster]
    first = subprocess.Popen(run, env={**os.environ, "OMP_NUM_THREADS": "1"})
    while first.poll() is None and not list(tmp_path.glob("p.arrow.parts/texts-*")):
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    assert not out.exists()
    with pytest.raises(InputError, match="language.frames was 2, now 3"):
        work(two_shards, out, frames=3, ray=cluster)
    (tmp_path / "slow").unlink()
    assert work(two_shards, out, ray=cluster).resumed
    assert out.read_bytes() == whole.read_bytes()
    assert not list(tmp_path.glob("*.parts"))


def test_no_cluster_at_an_address(two_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)  # whatever the other test has started
    with pytest.raises(InputError, match=r"there is no Ray cluster at 127.0.0.1:1 .*ray start --head"):
        work(two_shards, tmp_path / "p.arrow", ray="127.0.0.1:1")
