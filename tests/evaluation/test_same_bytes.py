"""What is written depends on what went in, not on when: twice the same, with the clock moved between."""

import shutil
import time
from pathlib import Path

import pytest

from kinelex.cli import main


def contents(folder: Path) -> dict[str, bytes]:
    """Everything that was written, but the cache."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(f.relative_to(folder)): f.read_bytes() for f in files if "cache" not in f.parts}


@pytest.fixture
def tomorrow(monkeypatch):
    """Moves the clock by a day and a bit."""

    def move() -> None:
        ahead, clock, local = 100_000, time.time, time.localtime
        monkeypatch.setattr(time, "time", lambda: clock() + ahead)
        monkeypatch.setattr(time, "time_ns", lambda: int((clock() + ahead) * 1e9))
        monkeypatch.setattr(time, "localtime", lambda s=None: local(clock() + ahead if s is None else s))

    return move


def test_reports_results_and_cards_are_the_same_bytes_on_another_day(
    run, store, make_prompts, tomorrow, tmp_path, capsys
):
    prompts, out, tasks = make_prompts(), tmp_path / "out", "knn,linear,retrieval,calibration"
    shutil.copytree(run.path, tmp_path / "other")
    commands = [
        ["evaluate", run.path, "--tasks", tasks, "--prompts", prompts.path],
        ["evaluate", tmp_path / "other", "--tasks", "knn"],
        ["compare", run.path, tmp_path / "other", "--protocol", "xsub", "--out", out / "comparison"],
        ["prompts-report", prompts.path, "--data", store.path, "--out", out / "prompts.html"],
        ["info", store.path, "--html", out / "card.html", "--json", out / "card.json"],
    ]
    written, today = [], time.strftime("%Y-%m-%d")
    for _ in range(2):
        shutil.rmtree(run.path / "evaluation", ignore_errors=True)
        shutil.rmtree(out, ignore_errors=True)
        for words in commands:
            assert main([*map(str, words)]) == 0, capsys.readouterr().err
        written.append({**contents(run.path), **contents(out)})
        tomorrow()
    names = ("report.html", "report.md", "report.tex", "report.csv", "evaluation/scores/xsub/knn.npz")
    pages = ("comparison/comparison.html", "comparison/comparison.csv", "prompts.html", "card.html")
    assert {*names, *pages, "evaluation/knn.json", "card.json"} <= written[0].keys()
    assert [name for name in written[0] if written[0][name] != written[1].get(name)] == []
    assert written[0].keys() == written[1].keys()
    assert [name for name, content in written[0].items() if today.encode() in content] == []
