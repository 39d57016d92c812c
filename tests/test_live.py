"""The live page's server: who may ask, what it answers, and a thousand bad messages that hurt nobody."""

import io
import json
import shutil
import socket

import numpy as np
import pytest
from rich.console import Console

import kinelex
from kinelex.data import open_store
from kinelex.errors import InputError
from kinelex.inference.stream import StreamModel
from kinelex.live.guard import Guard
from kinelex.pose import PoseEngine, PoseOptions, Poses
from kinelex.pose.registry import ENGINES
from kinelex.skeleton import get_layout

pytest.importorskip("starlette", reason="the extra 'live' is not installed")
Image = pytest.importorskip("PIL.Image")

from starlette.testclient import TestClient  # noqa: E402
from starlette.websockets import WebSocketDisconnect  # noqa: E402

from kinelex.live import LiveOptions, live_app, serve  # noqa: E402
from kinelex.live.session import MOST_BYTES, MOST_SIDE  # noqa: E402

HOME = "http://127.0.0.1:8765"
STREAM = "ws://127.0.0.1:8765/stream"
OWN = {"origin": HOME}
SPREAD = np.random.default_rng(0).random((25, 2)).astype(np.float32)


class Bright(PoseEngine):
    """Somebody is where a picture is bright; a picture of one colour makes it fail."""

    name, layout, world = "bright", get_layout("ntu25"), True

    def detect(self, picture, time):
        rows, columns = np.nonzero(picture[..., 0] > 128)
        if len(rows) == picture.shape[0] * picture.shape[1]:
            raise RuntimeError("the engine fails")
        if not len(rows):
            return Poses.nobody(0, 25, world=True)
        corner = np.array([columns.min(), rows.min()])
        image = (corner + SPREAD * (np.array([columns.max(), rows.max()]) - corner + 1))[None]
        space = np.concatenate([image, image[..., :1]], axis=2) / 100
        return Poses(image.astype(np.float32), np.ones((1, 25), np.float32), space.astype(np.float32))


def jpeg(left=30, width=64, height=48):
    x = np.zeros((height, width, 3), np.uint8)
    x[10:40, left : left + 20] = 250
    file = io.BytesIO()
    Image.fromarray(x).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture(scope="module")
def model(acted):
    return kinelex.load_model(acted.run, console=Console(file=io.StringIO()))


@pytest.fixture
def client(model, monkeypatch):
    monkeypatch.setitem(ENGINES, "bright", Bright)
    monkeypatch.setattr("kinelex.live.session.MOST_RATE", 10**6)
    monkeypatch.setattr("kinelex.live.session.Session.__init__.__defaults__", (Clock(),))
    options = LiveOptions(PoseOptions(engine="bright", persons=1), windows=(0.5, 1.0), pages=1)
    return TestClient(live_app(model, options), base_url=HOME)


class Clock:
    """A tenth of a second passes with each picture."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 0.03
        return self.now


def test_the_page_is_whole_and_closed(client):
    found = client.get("/")
    assert found.status_code == 200
    assert "default-src 'none'" in found.headers["content-security-policy"]
    nonce = found.text.split('nonce="')[1].split('"')[0]
    assert f"'nonce-{nonce}'" in found.headers["content-security-policy"]
    assert "http://" not in found.text
    assert "https://" not in found.text
    assert client.get("/other").status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:8765"},
        {"host": "127.0.0.1"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
    ],
)
def test_other_names_and_pages_are_refused(client, headers):
    assert client.get("/", headers=headers).status_code == 403
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(STREAM, headers={**OWN, **headers}),
    ):
        pass


def test_what_has_no_origin_gets_no_stream(client):
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(STREAM):
        pass


def test_pictures_are_answered_with_joints_labels_and_times(client, model):
    with client.websocket_connect(STREAM, headers=OWN) as socket:
        for number in range(40):
            socket.send_bytes(jpeg(left=10 + number % 20))
            said = json.loads(socket.receive_text())
        (one,) = said["people"]
        assert np.shape(one["joints"]) == (25, 3)
        assert said["size"] == [64, 48]
        assert said["ready"]
        assert {name for name, _ in one["labels"]} <= set(model.classes)
        assert set(said["milliseconds"]) == {"pose", "answer"}
        socket.send_bytes(jpeg(left=100))
        assert json.loads(socket.receive_text())["people"] == []
        socket.send_text("restart")
        assert json.loads(socket.receive_text()) == {"restarted": True}
        with (
            pytest.raises(WebSocketDisconnect) as full,
            client.websocket_connect(STREAM, headers=OWN) as second,
        ):
            second.receive_text()
        assert full.value.code == 1013
    with client.websocket_connect(STREAM, headers=OWN) as again:  # the place is free again
        again.send_bytes(jpeg())
        assert json.loads(again.receive_text())["people"]


def bad_messages(count):
    """Texts, noise, pictures cut, changed, too large, of another kind, and of one colour."""
    rng = np.random.default_rng(0)
    whole = jpeg()
    other = io.BytesIO()
    Image.new("RGB", (64, 48)).save(other, "PNG")
    wide = io.BytesIO()
    Image.new("RGB", (MOST_SIDE + 1, 20)).save(wide, "JPEG")
    bright = io.BytesIO()
    Image.new("RGB", (64, 48), "white").save(bright, "JPEG")
    fixed = [b"", b"\xff\xd8", other.getvalue(), wide.getvalue(), bright.getvalue(), bytes(MOST_BYTES + 1)]
    for number in range(count):
        kind = number % 5
        if kind == 0:
            yield rng.bytes(rng.integers(0, 2000))
        elif kind == 1:
            yield whole[: rng.integers(0, len(whole) - 2)]
        elif kind == 2:
            changed = bytearray(whole)
            for place in rng.integers(0, len(whole), 30):
                changed[place] = rng.integers(256)
            yield bytes(changed)
        elif kind == 3:
            yield "".join(map(chr, rng.integers(1, 0xD7FF, rng.integers(0, 200))))
        else:
            yield fixed[number // 5 % len(fixed)]


def test_a_thousand_bad_messages_hurt_nobody(client):
    with client.websocket_connect(STREAM, headers=OWN) as socket:
        socket.send_bytes(jpeg())
        assert len(json.loads(socket.receive_text())["people"]) == 1
        errors = 0
        for message in bad_messages(1000):
            (socket.send_text if isinstance(message, str) else socket.send_bytes)(message)
            errors += "error" in json.loads(socket.receive_text())
        assert errors > 700  # some changed pictures are pictures
        socket.send_bytes(jpeg())
        assert len(json.loads(socket.receive_text())["people"]) == 1
    with client.websocket_connect(STREAM, headers=OWN) as socket:
        socket.send_bytes(bytes(4 * MOST_BYTES + 1))
        with pytest.raises(WebSocketDisconnect) as ended:
            socket.receive_text()
    assert ended.value.code == 1009


def test_too_many_messages_are_answered_and_not_looked_at(model, monkeypatch):
    monkeypatch.setitem(ENGINES, "bright", Bright)
    monkeypatch.setattr("kinelex.live.session.Session.__init__.__defaults__", (lambda: 5.0,))
    options = LiveOptions(PoseOptions(engine="bright", persons=1), windows=(0.5,))
    client = TestClient(live_app(model, options), base_url=HOME)
    with client.websocket_connect(STREAM, headers=OWN) as socket:
        said = []
        for _ in range(50):
            socket.send_bytes(jpeg())
            said.append("error" in json.loads(socket.receive_text()))
    assert said == [False] * 40 + [True] * 10


def test_elsewhere_the_token_is_needed(model, monkeypatch):
    monkeypatch.setitem(ENGINES, "bright", Bright)
    with pytest.raises(InputError, match="--token SECRET"):
        LiveOptions(host="0.0.0.0")
    pose = PoseOptions(engine="bright", persons=1)
    options = LiveOptions(pose, windows=(0.5,), host="0.0.0.0", token="sesame")
    address = "http://192.168.1.7:8765"
    client = TestClient(live_app(model, options), base_url=address)
    assert client.get("/").status_code == 403
    assert client.get("/?token=wrong").status_code == 403
    assert client.get("/?token=sesame").status_code == 200
    assert client.get("/?token=sesame", headers={"host": "evil.example:8765"}).status_code == 403
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("ws://192.168.1.7:8765/stream", headers={"origin": address}),
    ):
        pass
    with client.websocket_connect(
        "ws://192.168.1.7:8765/stream?token=sesame", headers={"origin": address}
    ) as socket:
        socket.send_bytes(jpeg())
        assert json.loads(socket.receive_text())["people"]


def test_the_address_that_is_said_opens_whatever_the_token(model, monkeypatch):
    monkeypatch.setitem(ENGINES, "bright", Bright)
    monkeypatch.setattr("uvicorn.run", lambda app, **how: None)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    pose, said = PoseOptions(engine="bright", persons=1), []
    options = LiveOptions(pose, windows=(0.5,), port=port, token="a+b &c#ä")
    serve(model, options, said.append)
    client = TestClient(live_app(model, options), base_url=f"http://127.0.0.1:{port}")
    assert client.get(said[0]).status_code == 200


def bright_film(path):
    """A second in which somebody goes to the right, in a picture larger than pages send."""
    av = pytest.importorskip("av", reason="PyAV is not installed")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=20)
        stream.width, stream.height, stream.pix_fmt = 960, 480, "yuv420p"
        for number in range(20):
            x = np.zeros((480, 960, 3), np.uint8)
            x[100:400, 20 * number : 20 * number + 200] = 250
            container.mux(stream.encode(av.VideoFrame.from_ndarray(x, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_a_source_of_this_machine_is_watched_and_comes_again(model, tmp_path, monkeypatch):
    monkeypatch.setitem(ENGINES, "bright", Bright)
    monkeypatch.setattr("kinelex.live.source._PAUSE", 0.1)
    film = bright_film(tmp_path / "film.mp4")
    pose = PoseOptions(engine="bright", persons=1)
    options = LiveOptions(pose, windows=(0.5,), pages=1, source=str(film))
    with TestClient(live_app(model, options), base_url=HOME) as client:
        assert "film.mp4, read by the machine" in client.get("/").text
        with client.websocket_connect(STREAM, headers=OWN) as socket:

            def look(message):
                (socket.send_text if isinstance(message, str) else socket.send_bytes)(message)
                first = socket.receive()
                picture = first.get("bytes")
                said = json.loads(first["text"] if picture is None else socket.receive_text())
                return said, picture

            messages = iter(bad_messages(1000))
            seen, said = [], {}
            while len(seen) < 50 or not said.get("ready"):
                said, picture = look(next(messages))
                if said.get("people"):
                    seen.append(said["people"][0]["joints"][0][0])
                    assert said["size"] == [480, 240]
                    assert Image.open(io.BytesIO(picture)).size == (480, 240)
            steps = np.diff(seen)
            assert (np.abs(steps) > 5).all()  # no frame twice
            assert (steps < 0).any()  # it begins again
            shutil.move(film, tmp_path / "away.mp4")
            while "error" not in said:
                said, _ = look("next")
            assert said["error"].endswith(
                "film.mp4: cannot be read (No such file or directory); it is tried again"
            )
            shutil.move(tmp_path / "away.mp4", film)
            while not said.get("people"):
                said, _ = look("next")


def test_a_source_that_cannot_be_opened_is_one_message(tmp_path):
    from kinelex.live.source import Source

    pytest.importorskip("av", reason="PyAV is not installed")
    (tmp_path / "text.mp4").write_text("no video at all")
    for name, message in (
        ("nowhere.mp4", "does not exist"),
        (str(tmp_path), "is no file"),
        (str(tmp_path / "text.mp4"), "cannot be read"),
        ("999", "camera"),
        ("rtsp://somebody:secret@127.0.0.1:9/x", r"//127.0.0.1:9/x: cannot be read \(Connection refused\)"),
        ("http://127.0.0.1:9/x?user=me&token=secret", r"token=\*\*\*: cannot be read"),
        ("nothing://x", "cannot be read"),
    ):
        with pytest.raises(InputError, match=message) as found:
            Source(name)
        assert "secret" not in str(found.value)


def test_names_of_this_machine():
    guard = Guard("::1", 80)
    assert guard.refusal({"host": "[::1]:80"}, {}, page=True) is None
    assert guard.refusal({"host": "localhost:80"}, {}, page=True) is None
    for host, own in (("localhost", True), ("[::1]", True), ("evil", False), ("localhost:81", False)):
        headers = {"host": host, "origin": f"http://{host}"}  # port 80 is not said
        assert (guard.refusal(headers, {}, page=False) is None) == own
    assert guard.refusal({"host": "127.0.0.1.evil:80"}, {}, page=True)
    assert guard.refusal({}, {}, page=True)


def test_wrong_options_and_layouts_are_one_message(model, monkeypatch):
    monkeypatch.setitem(ENGINES, "bright", Bright)
    for wrong, message in (
        ({"port": 0}, "--port 0"),
        ({"every": 0}, "--every 0"),
        ({"pages": 0}, "1 page or more"),
        ({"windows": ()}, "1 to 8"),
    ):
        with pytest.raises(InputError, match=message):
            LiveOptions(**wrong)
    monkeypatch.setattr(Bright, "layout", get_layout("hand21"), raising=True)
    with pytest.raises(InputError, match="cannot read the joints"):
        live_app(model, LiveOptions(PoseOptions(engine="bright", persons=1), windows=(0.5,)))


def test_a_stream_says_what_the_whole_window_says(acted, model):
    """At the rate of the clips, the window that ends now is the clip."""
    clip = open_store(acted.store).sequence(3)[:45]
    stream = StreamModel(model, get_layout("ntu25"), 1, (2.0,), every=0.1, least=0.01)
    for number, frame in enumerate(clip):
        said = stream.step(frame, number / 30)
    whole = model.predict(clip[: 3 * (len(clip) // 3)], fps=30)
    expected = whole.probabilities if whole.known is not False else 0 * whole.probabilities
    close = np.abs(said.probabilities[0] - expected).max()
    assert said.seen.tolist() == [True]
    assert close < 0.2  # the last answer is up to three frames old
    assert stream.going_on() or stream.events or not said.probabilities.any()
    stream.step(clip[0], 100.0)  # long after: everything begins anew
    assert not stream.events


def test_a_frame_of_other_joints_or_persons_is_refused(model):
    stream = StreamModel(model, get_layout("ntu25"), 2, (1.0,))
    for shape in ((1, 25, 3), (2, 20, 3), (2, 25, 4), (25, 3)):
        with pytest.raises(InputError, match=r"2 places for persons, 25 joints \(ntu25\), got"):
            stream.step(np.ones(shape, np.float32), 0.0)


def test_events_begin_and_end(model):
    """Two persons whose windows say one class, then another, then none."""
    stream = StreamModel(model, get_layout("ntu25"), 2, (1.0,), every=0.1)
    k = len(model.classes)

    def judge(clips):
        here = np.array([clips.sequence(i)[len(clips.sequence(i)) // 2, 0, 0, 0] for i in range(len(clips))])
        return np.eye(k + 1)[here.astype(int) - 1][:, :k]

    stream._judge = judge
    for number in range(150):
        first = 1 if number < 60 else 2 if number < 100 else k + 1
        frame = np.ones((2, 25, 3), np.float32) * np.array([first, k + 1])[:, None, None]
        stream.step(frame, number / 25)
    assert [(e.person, e.label) for e in stream.events] == [(0, model.classes[0]), (0, model.classes[1])]
    one, two = stream.events
    assert one.end == pytest.approx(2.4, abs=0.3)
    assert two.start == pytest.approx(2.4, abs=0.3)
    assert two.end == pytest.approx(4.0, abs=0.3)
    assert stream.going_on() == []
