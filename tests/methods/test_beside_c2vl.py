"""C2VL's loss beside that of CMD and SOfA: what it adds, to whom, and what is refused."""

import pytest
import torch

from kinelex import create_encoder
from kinelex.errors import InputError
from kinelex.methods import C2VL, CMD, CMDC2VL, SOFAC2VL, Prompts
from kinelex.methods.base import StepInput
from kinelex.skeleton import make_stream

CLIPS = 6
CMD_OPTIONS = {"queue": 12, "top_k": 4, "dim": 8}


def encoder():
    return create_encoder("stgcn", layout="sbu15", channels=2, depth=(1, 1, 1))


def prompts(missing: int = 0) -> dict[str, Prompts]:
    mask = torch.arange(CLIPS) >= missing
    return {"language": Prompts(torch.randn(CLIPS, 3, 5), present=mask)}


def both(**options):
    torch.manual_seed(0)
    given = prompts()
    method = CMDC2VL(encoder(), given, **CMD_OPTIONS, **options)
    method.on_epoch_start(0, 2)
    return method, {"x": torch.randn(2 * CLIPS, 3, 8, 15, 1), "prompts": given}


def test_the_loss_is_the_methods_own_and_the_mean_of_c2vls():
    method, step = both(prompt_weight=0.5)
    torch.manual_seed(0)
    prompts()
    alone = CMD(encoder(), **CMD_OPTIONS)
    alone.load_state_dict({key: value for key, value in method.state_dict().items() if "c2vl" not in key})
    own = alone(step["x"], presence=torch.ones(2 * CLIPS, 1, 8, 15, 1, dtype=torch.bool)).loss
    terms = []
    for stream, one in method.c2vl.items():
        x = make_stream(step["x"][:CLIPS], method.layout, stream)
        terms.append(one(x, step["prompts"]).loss)
    out = method(**step, presence=torch.ones(2 * CLIPS, 1, 8, 15, 1, dtype=torch.bool))
    torch.testing.assert_close(out.loss, own + 0.5 * sum(terms) / 3)
    logged = [out.logs[f"loss/{stream}_prompts"] for stream in ("joint", "motion", "bone")]
    torch.testing.assert_close(torch.stack(logged), torch.stack(terms).detach())


def test_a_step_computes_each_query_encoder_once():
    method, step = both()
    calls = []
    for stream, one in method.encoders.items():
        one.register_forward_hook(lambda *_, s=stream: calls.append(s))
    method(**step).loss.backward()
    assert sorted(calls) == ["bone", "joint", "motion"]
    method(**step)  # what was kept of one step is not read in the next
    assert len(calls) == 6


def test_one_encoder_for_two_streams_is_read_for_each():
    given, one = prompts(), encoder()
    method = CMDC2VL({"joint": one, "motion": one}, given, **CMD_OPTIONS)
    method.on_epoch_start(0, 2)
    x = torch.randn(2 * CLIPS, 3, 8, 15, 1)
    logs = method(x, given).logs
    joint = method.c2vl["joint"](x[:CLIPS], given).loss
    torch.testing.assert_close(logs["loss/joint_prompts"], joint.detach())


def test_clips_without_prompts_teach_by_the_own_loss_alone():
    method, step = both()
    step["prompts"] = prompts(missing=CLIPS)
    out = method(**step)
    assert [float(v) for k, v in out.logs.items() if k.endswith("_prompts")] == [0, 0, 0]
    out.loss.backward()
    assert all(
        p.grad is None or not p.grad.any() for p in method.c2vl["joint"].student.projectors.parameters()
    )


def test_the_space_of_words_is_kept_where_there_is_one_encoder():
    assert both()[0].embedding_space is None
    method, step = both(streams=("joint",), text_space=True)
    features = method.encoders["joint"](step["x"])
    assert method.embedding_space.embed("skeleton", features).shape == (2 * CLIPS, 5)


def test_sofa_teaches_the_student_whatever_encoder_is_kept():
    slots = create_encoder("slots", layout="sbu15", dim=8, depth=1, heads=2)
    method = SOFAC2VL(slots, prompts(), prototypes=8, dim=4, hidden=8, keep="teacher")
    assert isinstance(method.c2vl["joint"], C2VL)
    assert method.c2vl["joint"].student.encoder is method.student.encoder is slots
    assert method.encoders["joint"] is method.teacher.encoder
    x = torch.randn(2 * CLIPS, 3, 16, 15, 1)
    method.on_epoch_start(0, 2)
    given = StepInput(x, prompts(), torch.full((CLIPS,), -1), None, None)
    assert {"loss/dino", "loss/joint_prompts"} <= set(method.step(given).logs)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("inf"), float("nan")])
def test_a_weight_that_cannot_be_is_refused(weight):
    with pytest.raises(InputError, match="cmd_c2vl expects prompt_weight above 0"):
        CMDC2VL(encoder(), prompts(), prompt_weight=weight, **CMD_OPTIONS)
    with pytest.raises(InputError, match="needs prompts of at least one modality"):
        CMDC2VL(encoder(), {}, **CMD_OPTIONS)


def test_epochs_reach_c2vl_and_are_asked_for():
    method, step = both()
    method.on_epoch_end()
    method.on_epoch_start(1, 2)
    assert all(one.alpha > 0 for one in method.c2vl.values())
    method.on_epoch_end()
    with pytest.raises(InputError, match="cmd_c2vl changes from epoch to epoch"):
        method(**step)
