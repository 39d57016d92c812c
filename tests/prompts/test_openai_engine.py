"""The engine ``openai`` against a server that delays, fails, limits and drops: every clip answered once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny_models
from answering_server import AnsweringServer, Pictures, answering_server

from kinelex.data import open_prompts, open_store
from kinelex.errors import InputError
from kinelex.prompts import ClipTexts, EngineContext, create, make_prompts
from kinelex.prompts.engines import server
from kinelex.prompts.engines.answers import Answer, Answers
from kinelex.prompts.engines.openai import OpenAIServer, data_url

pytest.importorskip("openai", reason="the extra `openai` is not installed")
ROWS = range(6)
FRAMES = np.array([0, 2, 2, 5, 9])  # one of them twice: short clips have fewer frames than are asked for
DIFFERENT = 4
WANTED = {row: ClipTexts([f"row {row} frame {f}" for f in FRAMES]) for row in ROWS}
KEY = "sk-secret-of-the-test"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "FIRST_WAIT", 0.01)
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def engine(server: AnsweringServer, journal: Path | None, **options: Any) -> OpenAIServer:
    store = SimpleNamespace(ids=[f"clip{row}" for row in range(8)])
    context = EngineContext(store=store, pictures=Pictures(), journal=journal)  # type: ignore[arg-type]
    return create("language engine", "openai", context, model="m", base_url=server.url, **options)


def ask(made: OpenAIServer, rows: range = ROWS) -> dict[int, ClipTexts | None]:
    found = list(made.texts_of(rows, [FRAMES] * len(rows)))
    assert len(found) == len(rows) == len({row for row, _ in found})  # none lost, none doubled
    return dict(found)


def test_every_clip_is_answered_many_at_a_time(tmp_path: Path) -> None:
    with answering_server(delay=0.03) as server:
        made = engine(server, tmp_path, concurrency=5, price_in=2.0, price_out=10.0)
        assert ask(made, range(8)) == {**WANTED, 6: ClipTexts([f"row 6 frame {f}" for f in FRAMES]), 7: None}
    assert set(server.answered.values()) == {1}
    assert sum(server.asked.values()) == 7 * DIFFERENT
    assert 1 < server.most <= 5
    assert server.keys == {f"Bearer {KEY}"}
    body = server.bodies[0]
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("m", 0, 96)
    assert made.settings["question"] in json.dumps(body)
    cost = made.cost
    assert cost["seconds"] > 0
    del cost["seconds"]
    assert cost == {
        "tokens": 112,
        "prompt_tokens": 2800,
        "requests": 28,
        "clips": 7,
        "price": pytest.approx(0.00672),
    }
    assert "7 clips; 2800 tokens read, 112 written; 28 requests, " in made.summary()
    assert made.summary().endswith(" a second, price 0.00672")
    written = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert written.count(b"\n") == 28
    assert KEY.encode() not in written + json.dumps(made.settings).encode()


def test_a_server_that_fails_in_every_way(tmp_path: Path) -> None:
    ways = ["500", "drop", "429 0.05", "page", "slow 2", "503", "429", "half", "cut", "empty"]

    def fault(number: int, body: dict[str, Any]) -> str:
        return ways[number // 2 % len(ways)] if number % 2 else ""

    with answering_server(fault, delay=0.01) as server:
        made = engine(server, tmp_path, concurrency=4, timeout=1.0)
        assert ask(made) == WANTED
    assert set(server.answered.values()) == {1}
    assert len(server.answered) == len(ROWS) * DIFFERENT
    assert made.cost["requests"] == sum(server.asked.values())  # the repeated ones are counted
    notes = [json.loads(line) for line in (tmp_path / "openai.jsonl").read_text().splitlines()]
    assert len(notes) == len({(n["clip"], n["frame"]) for n in notes}) == len(ROWS) * DIFFERENT


def test_a_limit_makes_all_wait_as_long_as_the_server_says() -> None:
    with answering_server(lambda number, body: "429 0.4" if number == 5 else "", delay=0.01) as server:
        assert ask(engine(server, None, concurrency=1)) == WANTED
    gaps = np.diff(server.times)
    assert gaps[5] >= 0.4
    assert np.delete(gaps, 5).max() < 0.4


def test_the_rate_that_was_asked_for_is_kept() -> None:
    with answering_server() as server:
        started = time.monotonic()
        assert ask(engine(server, None, requests_per_minute=1800), range(3)).keys() == {0, 1, 2}
    assert server.times[-1] - started >= (3 * DIFFERENT - 1) / 30


def test_a_server_that_is_down_is_named_and_the_rest_is_asked_later(tmp_path: Path) -> None:
    with answering_server(lambda number, body: "500" if number >= 6 else "") as server:
        made = engine(server, tmp_path, concurrency=1, retries=2)
        with pytest.raises(
            InputError, match=r"127.0.0.1.* failed 3 times in a row .*what it has answered is kept"
        ):
            ask(made)
        assert sum(server.asked.values()) == 9
    before = server.answered
    with answering_server() as server:
        assert ask(engine(server, tmp_path)) == WANTED
    assert not before & server.answered
    assert set((before + server.answered).values()) == {1}
    with pytest.raises(
        InputError, match=r"failed 2 times in a row \(last: Connection error: .*(failed|refused)"
    ):
        ask(engine(server, None, retries=1))


@pytest.mark.parametrize(
    ("code", "hint"), [(401, "OPENAI_API_KEY"), (404, "model 'm'"), (400, "vision-language")]
)
def test_what_trying_again_does_not_help_stops_at_once(code: int, hint: str) -> None:
    with (
        answering_server(lambda number, body: f"{code} no such thing") as server,
        pytest.raises(InputError, match=rf"status {code} .*no such thing.*{hint}") as caught,
    ):
        ask(engine(server, None, concurrency=1))
    assert sum(server.asked.values()) == 1
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("way", ["404", "503", "page", "drop", "429"])
def test_a_password_in_the_address_is_in_no_message(way: str, tmp_path: Path) -> None:
    with answering_server(lambda number, body: f"{way} {server.url}" if way != "429" else way) as server:
        server.url = server.url.replace("://", "://me:hunter2@") + "?api_key=hunter3"
        made = engine(server, tmp_path, concurrency=1, retries=1)
        with pytest.raises(InputError, match=r"http://\*\*\*@127\.0\.0\.1.*kept") as caught:
            ask(made)
    assert server.asked
    told = [str(caught.value), made.summary(), json.dumps(made.settings)]
    told += [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert "hunter" not in "".join(told)


@pytest.mark.parametrize("way", ["400 bad picture", "filter", "empty"])
def test_a_refused_picture_stops_or_leaves_its_clip_without_texts(tmp_path: Path, way: str) -> None:
    def fault(number: int, body: dict[str, Any]) -> str:
        return way if data_url(Pictures().frames(2, FRAMES)[1], 768) in json.dumps(body) else ""  # type: ignore[index]

    with answering_server(fault) as server:
        with pytest.raises(InputError, match=r"frame 2 of clip2: language.refused=skip"):
            ask(engine(server, tmp_path, concurrency=1))
        assert ask(engine(server, tmp_path, refused="skip")) == {**WANTED, 2: None}
        asked = server.asked.total()
        assert ask(engine(server, tmp_path, refused="skip")) == {**WANTED, 2: None}
    assert server.asked.total() == asked


def test_what_a_server_does_not_take_is_renamed_or_left_out() -> None:
    def fault(number: int, body: dict[str, Any]) -> str:
        if "max_tokens" in body:
            return "400 Unsupported parameter: 'max_tokens', use 'max_completion_tokens'"
        return "422 seed: extra fields not permitted" if "seed" in body else ""

    with answering_server(fault, delay=0.02) as server:
        assert ask(engine(server, None, max_new_tokens=7)) == WANTED
    assert server.bodies[-1]["max_completion_tokens"] == 7
    assert "seed" not in server.bodies[-1]
    assert set(server.answered.values()) == {1}


SCRIPT = """
import sys
sys.path.insert(0, {here!r})
from test_openai_engine import whole_run
whole_run(*sys.argv[1:])
"""


def whole_run(url: str, store: str, bert: str, out: str) -> None:
    """A run over drawings of all clips of a store, two frames each."""
    make_prompts(
        store,
        out,
        "openai",
        pictures="render",
        frames=2,
        text_encoder="sentence",
        options={
            "language": {"model": "m", "base_url": url, "concurrency": 3},
            "pictures": {"image_size": 32},
            "text_encoder": {"model": bert, "device": "cpu"},
        },
        progress=False,
    )


def test_killed_and_started_again_it_asks_only_for_the_rest(small_store: Path, tmp_path: Path) -> None:
    enough, out = 40, tmp_path / "p.arrow"
    bert = tmp_path / "bert"
    bert.mkdir()
    tiny_models.bert(bert)
    with answering_server(delay=0.01) as server:
        command = [sys.executable, "-c", SCRIPT.format(here=str(Path(__file__).parent))]
        command += [server.url, str(small_store), str(bert), str(out)]
        process = subprocess.Popen(command, env=dict(os.environ))
        while server.answered.total() < enough and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    path = tmp_path / "p.arrow.parts" / "notes" / "openai.jsonl"
    noted = len(path.read_bytes().splitlines())
    store = open_store(small_store)
    total = sum(1 if length == 1 else 2 for length in store.lengths)
    assert enough - 3 <= noted <= server.asked.total() < total
    with path.open("ab") as file:
        file.write(b'{"clip": "clip5", "frame": 9, "te')  # the last line is torn
    with answering_server() as second:
        whole_run(second.url, str(small_store), str(bert), str(out))
    assert noted + second.asked.total() == total  # none lost, none asked again but what was under way
    assert server.asked.total() - noted <= 3
    made = open_prompts(out)
    assert all(texts is not None and len(texts) == 2 for texts in made.texts())
    assert made.ids == store.ids
    with answering_server() as third:
        whole_run(third.url, str(small_store), str(bert), str(out))  # all is there
        assert third.asked.total() == 0
        whole_run(third.url, str(small_store), str(bert), str(tmp_path / "again.arrow"))
    assert open_prompts(tmp_path / "again.arrow").texts() == made.texts()
    assert third.asked.total() == total


def test_who_stops_listening_stops_the_asking(tmp_path: Path) -> None:
    with answering_server(delay=0.02) as server:
        answers = engine(server, tmp_path, concurrency=2).texts_of(ROWS, [FRAMES] * len(ROWS))
        assert next(iter(answers))[1] is not None
        answers.close()  # type: ignore[attr-defined]
        asked = server.asked.total()
        assert asked < len(ROWS) * DIFFERENT
        time.sleep(0.1)
        assert server.asked.total() == asked


def test_it_works_where_a_loop_runs_as_in_a_notebook() -> None:
    async def cell() -> ClipTexts | None:
        return made.texts(1, FRAMES)

    with answering_server() as server:
        made = engine(server, None)
        assert asyncio.run(cell()) == WANTED[1]


def test_notes_that_are_none_of_ours_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    notes = Answers(path)
    notes.note("a", 1, Answer("x"))
    notes.note("a", 1, Answer("second answers do not count"))
    again = Answers(path)
    assert (again.of("a"), again.of("b"), len(again)) == ({1: "x"}, {}, 1)
    assert again.cost()["requests"] == 1
    for line in ('{"clip": "a"}\n', "5\n"):
        path.write_text(line)
        with pytest.raises(InputError, match="damaged after byte 0"):
            Answers(path)
    with pytest.raises(InputError, match="cannot be written"):
        Answers(path / "below" / "a file")


def test_wrong_options_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server = SimpleNamespace(url="http://127.0.0.1:9/v1")
    question = tmp_path / "question.txt"
    question.write_text("  \n")
    for options, words in (
        ({"concurrency": 0}, "language.concurrency expects at least 1, got 0"),
        ({"refused": "cry"}, "language.refused expects stop or skip"),
        ({"question_file": question}, "empty one"),
        ({"question_file": tmp_path}, "language.question_file expects a text file"),
        ({"question_file": "~nobody-of-this-name/q.txt"}, "language.question_file expects a text file"),
        ({"look": "crops"}, "did you mean 'crop'"),
        ({"look": "crop"}, "--vision grounding_dino"),
        ({"modell": "m"}, "did you mean 'model'"),
    ):
        with pytest.raises(InputError, match=words):
            engine(server, None, **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="language.model=NAME"):
        create("language engine", "openai", EngineContext())
    monkeypatch.delenv("OPENAI_API_KEY")
    server.url = ""
    with pytest.raises(InputError, match="OPENAI_API_KEY, or the address"):
        engine(server, None)  # type: ignore[arg-type]
    server.url = "localhost:8000/v1"
    with pytest.raises(
        InputError, match="expects an address such as http://localhost:8000/v1, got 'localhost"
    ):
        engine(server, None)  # type: ignore[arg-type]
    monkeypatch.setenv("OPENAI_API_KEY", "schlüssel")
    with pytest.raises(InputError, match="OPENAI_API_KEY holds signs that no key has"):
        engine(server, None)  # type: ignore[arg-type]


def completion(content: Any, usage: Any = None) -> Any:
    """An answer as the package ``openai`` gives it, whatever the server has put into it."""
    message = SimpleNamespace(content=content)
    return SimpleNamespace(choices=[SimpleNamespace(message=message, finish_reason="length")], usage=usage)


def test_answers_of_another_form() -> None:
    assert server._read(completion("He waves \ud83d")).text == "He waves ?"  # half of a sign
    sparse = SimpleNamespace(prompt_tokens=None, completion_tokens=7)
    assert server._read(completion(None, sparse)) == Answer("", 0, 7)
    for content in (["He waves"], 5):
        with pytest.raises(ValueError, match="an answer that is no text"):
            server._read(completion(content))


def test_large_pictures_are_made_smaller() -> None:
    import base64
    import io

    from PIL import Image

    url = data_url(np.zeros((300, 600, 3), np.uint8), 200)
    assert Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).size == (200, 100)
