"""How fast each stage of making prompts is: decoding, cropping, image models, texts.

    python benchmarks/prompts.py [--stages decode,crop,images,texts] [--threads 1] [--out FILE]

Videos are generated: 1920 x 1080, MPEG-4 in .avi with a key frame every 12, 100 frames each, as clips of NTU
RGB+D are; and a recording of 1 500 frames with 20 clips, as PKU-MMD has. 16 frames are wanted of each clip.
Every frame that leaves a decoder is noted with its file and time: if one were decoded twice, the script would
end with an error. Networks have the architecture that is named and random weights, which takes the same time.
Rates are per second of processor time, so that they say something on a busy machine too.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from prepare import write_table
from prompt_texts import texts

from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.datasets.pku import clip_id
from kinelex.files import video as video_file
from kinelex.prompts import EngineContext, create
from kinelex.prompts.clips import sample_frames
from kinelex.prompts.embed.pixels import to_pixels
from kinelex.prompts.video.video import VideoPictures
from kinelex.skeleton import get_layout

WANTED, SHAPE = 16, (1080, 1920)
Rows = list[dict[str, object]]


def write_video(path: Path, frames: int) -> None:
    """A smooth background over which a box moves."""
    import av
    from PIL import Image

    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (27, 48, 3), dtype=np.uint8))
    ground = np.asarray(coarse.resize(SHAPE[::-1], Image.Resampling.BICUBIC)) // 2
    person = rng.integers(60, 255, (600, 240, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(30), options={"g": "12"})
        stream.height, stream.width = SHAPE
        stream.pix_fmt, stream.bit_rate = "yuv420p", 6_000_000
        for t in range(frames):
            picture, left = ground.copy(), 200 + 12 * (t % 100)
            picture[300:900, left : left + 240] = person
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def write_store(path: Path, clips: dict[str, int]) -> None:
    """A store of clips with a box of joints in the picture."""
    points = np.random.default_rng(0).uniform((300, 300), (540, 900), (25, 2)).astype(np.float32)
    with SkeletonStoreWriter(path, StoreMeta("made", get_layout("ntu25"), ("a",))) as writer:
        for clip, length in clips.items():
            pixels = np.broadcast_to(points, (length, 1, 25, 2))
            x = np.ones((length, 1, 25, 3), np.float32)
            writer.add(Sequence(clip, x, label=0, image_coordinates=pixels, image_size=SHAPE))


def seconds(work: Callable[[], Any], times: int = 3) -> float:
    """Least processor seconds of several tries."""
    found = []
    for _ in range(times):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


@contextmanager
def decoded_frames() -> Iterator[list[tuple[str, Any]]]:
    """The file and time of every frame that our decoders put out."""
    seen: list[tuple[str, Any]] = []
    decode, begin = video_file._decode, video_file.VideoFile._begin
    names: dict[int, str] = {}

    def noted(context: Any, packet: Any) -> list[Any]:
        frames = decode(context, packet)
        seen.extend((names[id(context)], frame.pts) for frame in frames)
        return frames

    def named(video: Any) -> None:
        begin(video)
        names[id(video._context)] = str(video.path)

    video_file._decode, video_file.VideoFile._begin = noted, named  # type: ignore[method-assign]
    try:
        yield seen
    finally:
        video_file._decode, video_file.VideoFile._begin = decode, begin  # type: ignore[method-assign]


def all_then_some(path: Path, wanted: np.ndarray) -> int:
    """The plain way: all frames as arrays, then those wanted. How many were decoded."""
    import av

    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(np.stack([frames[i] for i in wanted.tolist()])) == len(wanted)
    return len(frames)


def seek_each(path: Path, wanted: np.ndarray) -> int:
    """The other plain way: jump to the key frame before each wanted frame. How many were decoded."""
    import av

    count, pictures = 0, []
    with av.open(str(path)) as container:
        for number in wanted.tolist():
            container.seek(number, stream=container.streams.video[0])
            for frame in container.decode(video=0):
                count += 1
                if frame.pts >= number:
                    pictures.append(frame.to_ndarray(format="rgb24"))
                    break
    assert len(pictures) == len(wanted)
    return count


def decode(folder: Path) -> Rows:
    """Clips with videos of their own, and clips of one recording; against plain ways."""
    clips = {f"clip{i}": 100 for i in range(4)}
    for clip in clips:
        write_video(folder / "clips" / f"{clip}.avi", 100)
    write_store(folder / "clips.arrow", clips)
    wanted = sample_frames(100, WANTED)
    paths = [folder / "clips" / f"{clip}.avi" for clip in clips]
    plain = {"all frames, then those wanted": all_then_some, "jump to each": seek_each}
    rows: Rows = []
    base = 0.0
    for name, way in plain.items():
        took = seconds(lambda way=way: [way(path, wanted) for path in paths]) / len(paths)
        base = base or took
        rows.append(_row(f"decode, {name}", way(paths[0], wanted), 1 / took, base / took))
    rows.append(_ours("decode, video", folder / "clips.arrow", folder / "clips", base))
    write_video(folder / "recording" / "0002-L.avi", 1500)
    lines = [f"{i % 51 + 1},{75 * i + 10},{75 * i + 59},2" for i in range(20)]
    (folder / "recording" / "label").mkdir()
    (folder / "recording" / "label" / "0002-L.txt").write_text("\n".join(lines) + "\n")
    write_store(folder / "pku.arrow", {clip_id("0002-L", i % 51, i + 1): 50 for i in range(20)})
    rows.append(_ours("decode, 20 clips of a recording", folder / "pku.arrow", folder / "recording", None))
    return rows


def _ours(what: str, store_path: Path, source: Path, base: float | None) -> dict[str, object]:
    store = open_store(store_path)

    def work() -> VideoPictures:
        pictures = VideoPictures(EngineContext(store, source))
        for row in range(len(store)):
            found = pictures.frames(row, sample_frames(int(store.lengths[row]), WANTED))
            assert found is not None
        return pictures

    took = seconds(work) / len(store)
    with decoded_frames() as seen:
        count = work().decoded
    if not len(seen) == len(set(seen)) == count:
        raise SystemExit(f"{what}: {count} frames were decoded, {len(set(seen))} of them different")
    times = None if base is None else base / took
    return _row(f"{what} (no frame twice)", count / len(store), 1 / took, times)


def _row(what: str, frames: float | None, clips: float, times: float | None) -> dict[str, object]:
    return {
        "what": what,
        "frames decoded per clip": "" if frames is None else round(frames, 1),
        "clips/s per core": float(f"{clips:.2g}"),
        "pictures/s per core": float(f"{clips * WANTED:.2g}"),
        "times plain": "" if times is None else round(times, 1),
    }


class Given:
    """Pictures that are there already, so that an engine is timed alone."""

    def __init__(self, count: int) -> None:
        self.pictures = np.random.default_rng(0).integers(0, 255, (count, *SHAPE, 3), dtype=np.uint8)

    def frames(self, row: int, indices: np.ndarray) -> np.ndarray:
        """The same pictures for every clip."""
        return self.pictures[: len(indices)]


def crop(folder: Path) -> Rows:
    """Vision engines on frames of 1920 x 1080."""
    import transformers as tf

    write_store(folder / "crop.arrow", {"clip": 100})
    context = EngineContext(open_store(folder / "crop.arrow"), pictures=Given(WANTED))
    wanted, rows = sample_frames(100, WANTED), []
    for name in ("full", "joints"):
        engine = create("vision engine", name, context)
        rows.append(_row(f"crop, {name}", None, 1 / seconds(lambda e=engine: e.crops(0, wanted)), None))
    words = {w: i for i, w in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "person"))}
    tf.BertTokenizer(vocab=words).save_pretrained(folder / "dino")
    tf.GroundingDinoForObjectDetection(tf.GroundingDinoConfig()).save_pretrained(folder / "dino")
    note = {"image_processor_type": "GroundingDinoImageProcessor"}
    (folder / "dino" / "preprocessor_config.json").write_text(json.dumps(note))
    engine = create("vision engine", "grounding_dino", context, model=str(folder / "dino"), batch_size=1)
    took = seconds(lambda: engine.crops(0, wanted[:1]), times=1) * WANTED
    rows.append(_row(f"crop, grounding_dino tiny on {_device()}", None, 1 / took, None))
    return rows + _preparing("grounding_dino", engine._processor, Given(4).pictures)


def images(folder: Path) -> Rows:
    """Image encoders on crops of 336 pixels."""
    import transformers as tf

    pictures = np.random.default_rng(0).integers(0, 255, (WANTED, 336, 336, 3), dtype=np.uint8)
    rows: Rows = []
    config = tf.CLIPConfig(
        text_config={"num_hidden_layers": 1, "vocab_size": 100},
        vision_config={
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "image_size": 336,
            "patch_size": 14,
        },
        projection_dim=768,
    )
    tf.CLIPModel(config).save_pretrained(folder / "clip")
    size = {"shortest_edge": 336}
    note = {
        "image_processor_type": "CLIPImageProcessor",
        "size": size,
        "crop_size": {"height": 336, "width": 336},
    }
    (folder / "clip" / "preprocessor_config.json").write_text(json.dumps(note))
    encoder = create("image encoder", "clip", model=str(folder / "clip"), batch_size=2)
    took = seconds(lambda: encoder.encode(pictures[:2]), times=1) / 2 * WANTED
    rows.append(_row(f"images, CLIP ViT-L/14 at 336 on {_device()}", None, 1 / took, None))
    small = create("image encoder", "efficientnet_lite0")
    took = seconds(lambda: small.encode(pictures))
    rows.append(_row("images, efficientnet_lite0 at 336 on cpu", None, 1 / took, None))
    return rows + _preparing("CLIP", encoder._processor, pictures)


def _preparing(name: str, processor: Any, pictures: np.ndarray) -> Rows:
    """What comes before the network, by the processor alone and by us."""
    place = torch.device(_device())
    plain = seconds(lambda: processor(images=list(pictures), return_tensors="pt")["pixel_values"].to(place))
    ours = seconds(lambda: to_pixels(processor, pictures, place, torch.float32))
    many = WANTED / len(pictures)
    return [
        _row(f"prepare for {name}, by the processor", None, 1 / plain / many, 1.0),
        _row(f"prepare for {name}, ours", None, 1 / ours / many, plain / ours),
    ]


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


STAGES: dict[str, Callable[[Path], Rows]] = {"decode": decode, "crop": crop, "images": images, "texts": texts}


def main() -> None:
    """Measure the stages and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("prompts.csv"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows: Rows = []
    for stage in options.stages.split(","):
        with tempfile.TemporaryDirectory() as folder:
            rows += STAGES[stage](Path(folder))
    columns = list(dict.fromkeys(key for row in rows for key in row))
    write_table(options.out, rows, columns, threads=str(options.threads))


if __name__ == "__main__":
    main()
