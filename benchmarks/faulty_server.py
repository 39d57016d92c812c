"""Ten thousand answers of a server that fails in every way: is each there, once, and of its own picture?

    python benchmarks/faulty_server.py [--answers 10000] [--faults 0.2] [--kills 0] [--seed 0]

A server on this machine looks at each picture and says which clip and frame it shows. Some of its answers
fail: 429 with and without Retry-After, 500, 503, half of an answer, JSON that is cut off, no text, a page of
a proxy, a closed connection, or one that comes too late. The engine ``openai`` asks it, in a process of its
own, with the options that it has by itself but for the time that it waits; ``--kills`` are SIGKILLs spread
over the answers, after each the same command is started again. Then the prompt store is compared with the
pictures, frame by frame. Exit status 1 where an answer is lost, doubled or swapped.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_prompts, open_store
from kinelex.prompts import EngineContext, make_prompts, register
from kinelex.skeleton import get_layout

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "prompts"))
from answering_server import AnsweringServer, answering_server  # noqa: E402 - beside the tests that use it

FRAMES, CONCURRENCY, TIMEOUT = 16, 32, 4.0
FAULTS = {
    "429 0.1": "429 with Retry-After",
    "429": "429 without",
    "500": "500",
    "503": "503",
    "half": "half of an answer",
    "cut": "JSON cut off",
    "empty": "an answer without text",
    "page": "a page in HTML",
    "drop": "connection closed",
    f"slow {TIMEOUT + 1}": "too late",
}
BITS = 16  # black and white fields of a picture, which JPEG keeps: ten for the row, six for the frame


class Codes:
    """Pictures that say which clip and frame they are of."""

    def __init__(self, context: EngineContext) -> None:
        self.settings: dict[str, Any] = {}
        self.name, self.version = "codes", "1"

    def frames(self, row: int, indices: np.ndarray) -> np.ndarray:
        """Pictures (P, 32, 32, 3) of four by four fields."""
        bits = (row << 6 | np.asarray(indices))[:, None] >> np.arange(BITS) & 1
        fields = bits.reshape(-1, 4, 1, 4, 1, 1) * np.full((8, 1, 8, 3), 255)
        return fields.reshape(-1, 32, 32, 3).astype(np.uint8)


def decode(pixels: np.ndarray) -> tuple[int, int]:
    """Row and frame of such a picture."""
    bits = pixels.reshape(4, 8, 4, 8, 3).mean((1, 3, 4)).ravel() > 127
    number = int((bits << np.arange(BITS)).sum())
    return number >> 6, number & 63


class Lengths:
    """A text encoder that costs nothing."""

    name, version, width = "lengths", "1", 4

    def encode(self, texts: list[str]) -> np.ndarray:
        """Rows (n, 4)."""
        return np.array([[1, len(t), ord(t[-1]), ord(t[-2])] for t in texts], np.float32)


def write_store(path: Path, clips: int) -> None:
    """Clips of 16 to 63 frames."""
    rng, layout = np.random.default_rng(0), get_layout("kinect20")
    with SkeletonStoreWriter(path, StoreMeta("coded", layout, ("none",))) as writer:
        for number in range(clips):
            shape = (int(rng.integers(FRAMES, 64)), 1, layout.num_joints, 3)
            writer.add(Sequence(f"clip{number:04d}", rng.normal(size=shape).astype(np.float32), label=0))


def ask(url: str, store: str, out: str) -> None:
    """What the process does that is killed: the prompts of a store."""
    register("pictures", "codes", Codes)
    register("text encoder", "lengths", Lengths)
    language = {"model": "m", "base_url": url, "concurrency": CONCURRENCY, "timeout": TIMEOUT}
    made = make_prompts(
        store,
        out,
        "openai",
        pictures="codes",
        frames=FRAMES,
        text_encoder="lengths",
        options={"language": language},
        progress=False,
    )
    print(made, flush=True)


def finish(server: AnsweringServer, words: list[str], answers: int, kills: int) -> None:
    """Start the process, kill it where it was asked for, start it again until it ends by itself."""
    command = [sys.executable, str(Path(__file__).resolve()), "--ask", server.url, *words]
    env = {**os.environ, "OPENAI_API_KEY": "none"}
    for kill in range(1, kills + 2):
        process = subprocess.Popen(command, env=env)
        while kill <= kills and process.poll() is None:
            if server.answered.total() >= answers * kill / (kills + 1):
                process.kill()
            time.sleep(0.01)
        status = process.wait()
        if status and kill > kills:
            sys.exit(f"the engine ended with status {status}")


def judge(store: Path, out: Path, answered: Counter[tuple[int, int]]) -> dict[str, int]:
    """Compare the texts of the prompt store with its pictures."""
    from kinelex.prompts.clips import sample_frames

    lengths, ids = open_store(store).lengths, open_store(store).ids
    made = open_prompts(out)
    found = dict(zip(made.ids, made.texts(), strict=True))
    count = Counter[str](asked_twice=sum(n - 1 for n in answered.values()))
    for row, clip in enumerate(ids):
        wanted = [f"row {row} frame {f}" for f in sample_frames(int(lengths[row]), FRAMES)]
        texts = found.get(clip) or []
        count["lost"] += max(0, len(wanted) - len(texts))
        count["doubled"] += max(0, len(texts) - len(wanted))
        count["swapped"] += sum(a != b for a, b in zip(texts, wanted, strict=False))
    count["doubled"] += len(made.ids) - len(found)
    return {name: count[name] for name in ("lost", "doubled", "swapped", "asked_twice")}


def main() -> None:
    """Ask, judge, and print two tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--answers", type=int, default=10_000, help="up to 16 000")
    parser.add_argument("--faults", type=float, default=0.2, help="share of answers that fail")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ask", nargs=3, metavar=("URL", "STORE", "OUT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.ask:
        return ask(*given.ask)

    def fault(number: int, body: object = None) -> str:
        draw = random.Random(f"{given.seed} {number}")
        return draw.choice(list(FAULTS)) if draw.random() < given.faults else ""

    with tempfile.TemporaryDirectory(prefix="faulty-") as folder:
        store, out = Path(folder) / "store.arrow", Path(folder) / "prompts.arrow"
        clips = -(-given.answers // FRAMES)
        write_store(store, clips)
        begun = time.perf_counter()
        with answering_server(fault, delay=0.005, look=decode) as server:
            finish(server, [str(store), str(out)], clips * FRAMES, given.kills)
        seconds = time.perf_counter() - begun
        said = judge(store, out, server.answered)
        left = sorted(p.name for p in Path(folder).iterdir() if p.name.startswith("prompts") and p.is_dir())
    asked = len(server.bodies)
    failed = Counter(FAULTS.get(fault(number)) for number in range(asked))
    print("\n| failure | number |\n|---|---:|")
    print("\n".join(f"| {name} | {failed[name]} |" for name in FAULTS.values()))
    print("\n| answers | kills | questions | lost | doubled | swapped | again after a kill | seconds |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    numbers = (clips * FRAMES, given.kills, asked, *said.values(), round(seconds))
    print("| " + " | ".join(map(str, numbers)) + " |")
    again = said.pop("asked_twice") > given.kills * CONCURRENCY
    sys.exit(1 if again or any(said.values()) or left else 0)


if __name__ == "__main__":
    main()
