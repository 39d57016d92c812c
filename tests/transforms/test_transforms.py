"""What every registered transform promises, lists of them in recipes, and the published presets."""

from dataclasses import dataclass, replace

import pytest
import torch

from kinelex import transforms
from kinelex.data.batch import Batch
from kinelex.errors import InputError
from kinelex.options import read_options
from kinelex.skeleton import get_layout
from kinelex.training.recipe import find_recipe, plain, resolve
from kinelex.transforms import (
    Compose,
    InputConfig,
    InputPipeline,
    Transform,
    create,
    preset,
    shape,
    transforms_of,
)
from kinelex.transforms.base import TRANSFORMS, batch_of

NTU = get_layout("ntu25")
NAMES = [name for name in transforms.names() if TRANSFORMS.find(name).__module__.startswith("kinelex.")]


def clips(channels: int = 3) -> torch.Tensor:
    """Two persons in four clips: a wrist is lost for a while, the second person comes and goes."""
    x = torch.randn(4, channels, 40, 25, 2, generator=torch.Generator().manual_seed(0)) / 9
    x += torch.randn(4, channels, 1, 25, 2, generator=torch.Generator().manual_seed(1)) + 3
    x[0, :, 10:20, 6] = 0
    x[1, :, :9, :, 1] = 0
    x[2, :, 30:, :, 1] = 0
    x[3, ..., 1] = 0
    return x


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def batch(channels: int = 3) -> Batch:
    return replace(batch_of(clips(channels), lengths=[40, 31, 40, 12]), layout=NTU)


@pytest.mark.parametrize("name", NAMES)
def test_a_transform_repeats_its_draw_and_leaves_absent_joints_absent(name: str) -> None:
    transform, given = create(name), batch()
    called = transform(given, seeded())
    assert torch.equal(called.x, transform(given, seeded()).x)
    params = transform.sample(given, seeded())
    for _ in range(2):
        again = transform.apply(given, params)
        assert torch.equal(called.x, again.x)
        assert torch.equal(called.presence, again.presence)
    for out in (called, transform(given)):
        assert not out.x.masked_select(~out.presence).any()
        assert out.x.isfinite().all()
        assert out.x.shape[:2] == (4, 3)
        assert out.presence.shape == (4, 1, *out.x.shape[2:])
    assert torch.equal(batch().x, given.x)  # what comes in stays as it is
    assert torch.equal(transform(given).x, transform(given).x)


@pytest.mark.parametrize("name", NAMES)
def test_a_transform_changes_flat_clips_or_says_why_not(name: str) -> None:
    if name in ("align_body", "random_rotation"):
        with pytest.raises(InputError, match="2-D|3-D"):
            create(name)(batch(2), seeded())
    else:
        out = create(name)(batch(2), seeded())
        assert out.x.shape[:2] == (4, 2)
        assert not out.x.masked_select(~out.presence).any()


@pytest.mark.parametrize("name", NAMES)
def test_a_transform_works_on_the_device_of_its_clips(name: str) -> None:
    """On the meta device nothing can be read back, and nothing mixes with the host's memory."""
    if name == "joint_noise":
        pytest.skip("the meta device draws no numbers")
    options = {"seen_only": False} if name == "uniform_frames" else {}  # whom one sees is on the device
    transform, given = create(name, **options), batch()
    if transform.chooses_frames:  # from ragged frames: whole clips are changed where they are loaded
        given = replace(given, x=None, presence=None)
    else:
        given = replace(given, frames=None)
    out = transform.apply(given.to("meta"), transform.sample(given.to("meta"), seeded()))
    assert out.x.device.type == out.presence.device.type == "meta"


def test_options_are_those_of_the_constructor() -> None:
    assert create("crop_resize", frames="16", crop=[0.2, 0.4]) == transforms.CropResize(16, crop=(0.2, 0.4))
    with pytest.raises(InputError, match="did you mean 'crop_resize'"):
        create("crop_resise")
    with pytest.raises(
        InputError, match="unknown option of the transform centre 'joints': did you mean 'joint'"
    ):
        create("centre", joints="pelvis")
    with pytest.raises(InputError, match="crop_resize.frames expects int, got 'many'"):
        create("crop_resize", frames="many")
    with pytest.raises(InputError, match="did you mean 'torso'"):
        create("align_body", mode="torsi")


@pytest.mark.parametrize(
    ("name", "recipe"),
    [("c2vl", "c2vl"), ("cmd", "cmd/ntu60"), ("ctrgcn", "supervised/ntu120"), ("sofa", "sofa")],
)
def test_a_preset_is_what_the_recipe_does(name: str, recipe: str) -> None:
    config = resolve(*find_recipe(recipe)).input
    wanted = transforms_of(config)
    assert tuple(wanted) == preset(name)
    short, listed = (InputPipeline(NTU, c) for c in (config, InputConfig(transforms=(name,))))
    given = replace(batch(), x=None, presence=None)
    assert torch.equal(short(given), listed(given))
    assert torch.equal(
        short(given, short.sample(given, seeded())), listed(given, listed.sample(given, seeded()))
    )


@pytest.mark.parametrize("name", transforms.PRESETS)
def test_every_preset_runs(name: str) -> None:
    prepare = Compose(preset(name), "ntu25")
    x = prepare(clips(), seeded())
    frames = next(
        (
            n
            for start, n in {"aimclr_e": 40, "aimclr": 50, "pyskl": 100, "sofa_": 40}.items()
            if name.startswith(start)
        ),
        64,
    )
    assert x.shape == (4, 3, frames, 25, 2)
    assert not torch.equal(x, prepare(clips()))


def test_whole_clips_are_changed_before_frames_are_chosen_and_frames_after() -> None:
    pick = create("pick_frames", frames=5)
    centred = Compose([create("centre"), pick], NTU)(clips())
    picked = Compose([pick, create("centre")], NTU)(clips())
    torch.testing.assert_close(centred, picked)  # the first frame is the same
    moved = Compose([create("stream", stream="motion"), pick], NTU)(clips())
    assert not torch.allclose(moved, Compose([pick, create("stream", stream="motion")], NTU)(clips()))
    with pytest.raises(
        InputError, match="frames are chosen once: expects one of pick_frames and crop_resize"
    ):
        Compose([pick, create("crop_resize")])


@pytest.mark.parametrize("name", ["cmd", "ctrgcn", "pyskl"])
def test_crops_choose_frames_as_in_training_and_change_nothing_else(name: str) -> None:
    """Each clip by its own generator, whatever clips are beside it."""
    pipeline, lengths = InputPipeline(NTU, InputConfig(transforms=(name,))), [40, 31, 40, 12]
    given = replace(batch(), x=None, presence=None)
    drawn = pipeline.sample_crops(given, [torch.Generator().manual_seed(i) for i in range(4)])
    cropped = pipeline(given, drawn)
    assert not torch.equal(cropped, pipeline(given))
    for i, length in enumerate(lengths):
        alone = replace(batch_of(clips()[i : i + 1], lengths=[length]), layout=NTU, x=None, presence=None)
        params = pipeline.sample(alone, torch.Generator().manual_seed(i))
        assert len(params) > len(drawn) == 1  # all that training changes, and the frames alone
        assert torch.allclose(cropped[i : i + 1], pipeline(alone, {n: params[n] for n in drawn}), atol=1e-6)


@pytest.mark.parametrize("looks", [True, False])
def test_persons_stand_in_the_frame_of_each(monkeypatch: pytest.MonkeyPatch, looks: bool) -> None:
    """As if every clip had come with another person first; who is absent leads nobody."""
    monkeypatch.setattr(shape, "host_sees", lambda x: looks)  # as on an accelerator, in an export
    config = InputConfig(
        frames=8, centre="mean", align="torso", scale="torso", persons=2, rotation=(0.3, 0, 0)
    )
    plain, mutual = (InputPipeline(NTU, replace(config, mutual=m)) for m in (False, True))
    x = clips()
    x[2] = x[2].flip(-1) * (torch.arange(2) == 1)  # the first person is absent
    given = replace(batch_of(x, lengths=[40] * 4), layout=NTU)
    turned = replace(batch_of(x.flip(-1), lengths=[40] * 4), layout=NTU)
    crowd = torch.cat([x, torch.randn_like(x[..., :1])], dim=-1)
    for params in (None, plain.sample(given, seeded())):
        seen, there = mutual.prepare(given, params)
        assert seen.shape == (4, 3, 8, 25, 4)
        assert there.shape == (4, 1, 8, 25, 4)
        first, second = plain.prepare(given, params), plain.prepare(turned, params)
        led = [0, 1, 3]  # in the other clip the first person is absent
        torch.testing.assert_close(seen[led, ..., :2], first[0][led])
        assert torch.equal(there[led, ..., :2], first[1][led])
        assert not seen[2, ..., :2].any()
        assert not there[2, ..., :2].any()
        torch.testing.assert_close(seen[:3, ..., 2:], second[0][:3])
        assert torch.equal(there[:3, ..., 2:], second[1][:3])
        assert not seen[3, ..., 1:].any()  # the second person is absent
        assert not there[3, ..., 1:].any()
        more = replace(batch_of(crowd, lengths=[40] * 4), layout=NTU)
        torch.testing.assert_close(mutual(more, params), seen)  # a third is left out
    alone = replace(batch_of(x[3:, ..., :1], lengths=[40]), layout=NTU)
    torch.testing.assert_close(mutual(alone), mutual(given)[3:])
    one = InputPipeline(NTU, replace(config, mutual=True, persons=1))
    assert torch.equal(one(given), plain(given)[..., :1])


def test_a_clip_that_ends_early_is_flipped_within_its_length() -> None:
    x = torch.arange(1.0, 6.0).view(1, 1, 5, 1, 1).repeat(2, 1, 1, 1, 1)
    flipped = Compose([create("time_flip", probability=1.0)])(x, seeded(), lengths=[5, 3])
    assert flipped.flatten(1).tolist() == [[5, 4, 3, 2, 1], [3, 2, 1, 0, 0]]


def test_arrays_with_their_own_presence() -> None:
    x = clips().numpy()
    there = torch.ones(4, 1, 40, 25, 2, dtype=torch.bool)
    there[0, :, :, 4] = False
    out = Compose([create("crop_resize", frames=8), create("centre")], NTU)(x, presence=there)
    assert not out[0, :, :, 4].any()
    with pytest.raises(InputError, match=r"expects presence \(4, 1, 40, 25, 2\)"):
        Compose([create("centre")], NTU)(x, presence=there[:2])
    with pytest.raises(InputError, match="expects lengths from 1 to 40, got 0 to 40"):
        Compose([create("centre")], NTU)(x, lengths=[40, 0, 40, 40])
    with pytest.raises(InputError, match="expects the layout of the clips"):
        Compose([create("centre")])(x)


def test_retargeting_stands_in_a_list_too() -> None:
    coco = get_layout("coco17")
    steps = [create("crop_resize", frames=8), create("retarget", layout="coco17"), create("shear_or_corrupt")]
    assert Compose(steps, NTU)(clips(), seeded()).shape == (4, 3, 8, 17, 2)
    config = InputConfig(transforms=({"name": "crop_resize", "frames": 8}, "shear_or_corrupt"))
    pipeline, given = InputPipeline(coco, config, NTU), replace(batch(), x=None, presence=None)
    listed = Compose(steps, NTU)(given, seeded())
    assert torch.equal(pipeline(given, pipeline.sample(given, seeded())), listed.x)


@dataclass(frozen=True)
class Shift(Transform):
    """Moves clips along x."""

    by: float = 1.0

    def apply(self, batch: Batch, params: None = None) -> Batch:
        moved = batch.x.clone()
        moved[:, 0] += self.by * batch.presence[:, 0]
        return replace(batch, x=moved)


@pytest.fixture
def shift():
    transforms.register(Shift)
    yield "shift"
    del TRANSFORMS["shift"]


def test_ones_own_between_those_of_a_recipe(shift: str) -> None:
    content = {"input": {"transforms": ["c2vl", {"name": shift, "by": 2.5}], "stream": "bone", "persons": 1}}
    recipe = resolve("mine", content)
    assert transforms_of(recipe.input) == [*preset("c2vl"), Shift(2.5)]
    assert plain(recipe.to_dict()["input"]["transforms"]) == content["input"]["transforms"]
    assert resolve("again", {k: v for k, v in recipe.to_dict().items() if k != "name"}).input == recipe.input
    assert Shift in recipe.parts
    given = replace(batch(), x=None, presence=None)
    assert InputPipeline(NTU, recipe.input)(given).shape == (4, 3, 64, 25, 1)


def test_a_list_on_the_command_line_stands_instead_of_the_short_form(shift: str) -> None:
    recipe = resolve(*find_recipe("supervised"), ["transforms=cmd,shift", "fps=30", "epochs=3"])
    assert [t.name for t in transforms_of(recipe.input)][-2:] == ["shear_or_corrupt", "shift"]
    assert next(t for t in transforms_of(recipe.input) if t.chooses_frames).fps == 30
    assert recipe.training.epochs == 3
    with pytest.raises(InputError, match="input.crop belongs to the short form"):
        resolve(*find_recipe("supervised"), ["transforms=cmd", "crop=0.5,0.7"])


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (["centre"], "expects one transform in input.transforms that chooses frames"),
        (["c2vl", "crop_resize"], "got crop_resize and crop_resize"),
        (["c2vl", "jitter"], "unknown transform or preset 'jitter'"),
        (["c2vl", 3], "expects a list of names of transforms"),
        (["c2vl", {"centre": {}}], "expects a list of names of transforms"),
        ([{"name": "pick_frames", "frames": 0}], "expects frames of at least 1"),
        (["c2vl", {"name": "joint_noise", "std": -1}], "expects std of at least 0"),
        (["c2vl", {"name": "time_flip", "probability": 2}], "expects a probability from 0 to 1"),
        (["c2vl", {"name": "gaussian_blur", "sigma": [0, 2]}], "gaussian_blur expects a sigma above 0"),
        ([{"name": "reflect_crop", "padding": 1.5}], "reflect_crop expects a padding from 0 to 1"),
    ],
)
def test_a_wrong_list_is_one_message(entries: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve("mine", {"input": {"transforms": entries}})


@pytest.mark.parametrize("section", [{"joint": 1}, {"frames": "many"}, 5])
def test_a_damaged_input_section_of_a_run_is_one_message(section):
    with pytest.raises(InputError, match="section input is damaged"):
        InputConfig.read(section)


def test_options_of_any_name_need_not_be_given() -> None:
    def loose(*more: int, least: int = 1, **others: int) -> None: ...

    assert read_options(loose, {"least": "3"}, "loose", "loose") == {"least": 3}
    with pytest.raises(InputError, match="unknown option of loose 'most'"):
        read_options(loose, {"most": "3"}, "loose", "loose")
