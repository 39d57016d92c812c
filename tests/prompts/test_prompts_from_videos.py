"""``kinelex prompts`` from videos to the store, through the real engines with tiny checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_models
from prompt_fakes import Killed
from tiny_vision import grounding_dino, vision_model
from video_files import clip_store, write_video

from kinelex.cli import main
from kinelex.data import open_prompts
from kinelex.prompts import make_prompts
from kinelex.prompts.embed.image_models import ClipImages

CLIPS = {f"S001C001P00{p}R001A001": 20 + p for p in range(1, 5)}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A store of four clips; the second has no video, the third a longer one, the fourth a broken one."""
    pixels = np.linspace((10, 5), (60, 90), 25, dtype=np.float32)
    clip_store(
        tmp_path / "store.arrow",
        CLIPS,
        image_coordinates=lambda length: np.broadcast_to(pixels, (length, 1, 25, 2)),
        image_size=(96, 128),
    )
    first, _, third, fourth = CLIPS
    write_video(tmp_path / "raw" / "setup1" / f"{first}_rgb.avi", 21)
    write_video(tmp_path / "raw" / f"{third}_rgb.avi", 46)
    (tmp_path / "raw" / f"{fourth}_rgb.avi").write_bytes(b"no video")
    return tmp_path


def test_grounding_dino_and_clip_from_the_command_line(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tower = raw / "clip"
    tower.mkdir()
    command = [
        "prompts", str(raw / "store.arrow"), "--out", str(raw / "p.arrow"), "--vision", "grounding_dino",
        "--source", str(raw / "raw"), "--vision-frames", "3", "--image-encoder", "clip", "--keep", "crops",
        f"vision.model={grounding_dino(raw / 'dino')}", "vision.threshold=0", "vision.text_threshold=0",
        "vision.image_size=64", f"image_encoder.model={tiny_models.clip(tower)}",
    ]  # fmt: skip
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "4 clips, 2 without vision" in said
    assert "1 clips have videos with another number of frames than their skeletons (2.00 to 2.00" in said
    assert "1 clips get no pictures from their videos" in said
    prompts = open_prompts(raw / "p.arrow")
    assert prompts.present("vision").tolist() == [True, False, True, False]
    clip = prompts.clip(prompts.ids[0]).vision
    assert clip is not None
    assert clip.flags.tolist() == [False] * 3
    assert clip.embeddings.shape == (3, 12)
    assert np.linalg.norm(clip.embeddings.astype(np.float32), axis=1) == pytest.approx(1, abs=2e-3)
    about = prompts.meta.engines["vision"]
    assert about["engine"]["model"] == "dino"
    assert about["pictures"]["name"] == "video"
    assert main(command) == 0  # it is there already


def test_joints_and_any_vision_model(raw: Path) -> None:
    vision_model(raw / "vit", "vit")
    options = {"vision": {"padding": 0}, "image_encoder": {"model": str(raw / "vit"), "pooling": "mean"}}
    make_prompts(
        raw / "store.arrow", raw / "p.arrow", None, "joints", source=raw / "raw", vision_frames=2,
        image_encoder="image", options=options, progress=False,
    )  # fmt: skip
    clip = open_prompts(raw / "p.arrow").clip(next(iter(CLIPS))).vision
    assert clip is not None
    assert clip.boxes.tolist() == [[10, 5, 61, 91]] * 2
    assert clip.embeddings.shape == (2, 16)


def test_killed_and_started_again_equals_an_uninterrupted_run(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tower = raw / "clip"
    tower.mkdir()
    tiny_models.clip(tower)

    def make(name: str) -> bytes:
        make_prompts(
            raw / "store.arrow", raw / name, None, "full", source=raw / "raw", vision_frames=2,
            image_encoder="clip",
            options={"vision": {"image_size": 48}, "image_encoder": {"model": str(tower)}}, progress=False,
        )  # fmt: skip
        return (raw / name).read_bytes()

    whole = make("whole.arrow")

    def die(self: ClipImages, images: np.ndarray) -> np.ndarray:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(ClipImages, "encode", die)
        with pytest.raises(Killed):
            make("broken.arrow")
    assert make("broken.arrow") == whole


def test_without_a_video_the_message_says_what_is_expected(
    raw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (raw / "empty").mkdir()
    command = ["prompts", str(raw / "store.arrow"), "--out", str(raw / "p.arrow"), "--vision", "full"]
    assert main([*command, "--source", str(raw / "empty")]) == 2
    assert "expects names such as S001C001P001R001A001_rgb.avi" in capsys.readouterr().err
    assert main(command) == 2
    assert "name their folder with --source DIR" in capsys.readouterr().err
    assert main([*command, "--source", str(raw / "raw"), "--pictures", "vidoe"]) == 2
    assert "did you mean 'video'" in capsys.readouterr().err
