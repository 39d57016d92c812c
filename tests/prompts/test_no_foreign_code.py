"""Code that comes with a checkpoint is neither run nor asked about: every call says so."""

import ast
from pathlib import Path
from typing import Any

import pytest
import transformers

import kinelex
from kinelex.models.transformers import Checkpoint

SOURCES = Path(kinelex.__file__).parent
LOADS = ("from_pretrained", "from_config")
OTHERS = ("EfficientNet",)  # whose from_pretrained reads weights alone


def _calls() -> list[tuple[str, ast.Call]]:
    """Every call that loads a model of transformers, and where it stands."""
    found = []
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called: Any = node.func if isinstance(node, ast.Call) else None
            if getattr(called, "attr", "") in LOADS and ast.unparse(called.value) not in OTHERS:
                found.append((f"{path.relative_to(SOURCES)}:{node.lineno}", node))
    return found


def test_every_call_says_that_no_code_is_to_be_run():
    calls = _calls()
    assert len(calls) >= 4
    for place, call in calls:
        said = {word.arg: ast.unparse(word.value) for word in call.keywords}
        assert said.get("trust_remote_code", said.get(None)) in ("False", "self._from"), place


@pytest.mark.parametrize("auto", ["AutoModel", "AutoTokenizer"])
@pytest.mark.parametrize("there", [True, False])
def test_checkpoints_of_a_folder_and_of_the_hub_are_loaded_so(auto, there, tmp_path, monkeypatch):
    told = {}

    def load(where, **options):
        told.update(options)
        raise OSError("as far as this goes")

    monkeypatch.setattr(getattr(transformers, auto), "from_pretrained", load)
    made = Checkpoint(str(tmp_path) if there else "owner/name", "main", "language.model")
    with pytest.raises(ValueError, match="as far as this goes"):
        made.processor(auto) if auto == "AutoTokenizer" else made.network(auto, "cpu")
    assert told["trust_remote_code"] is False
