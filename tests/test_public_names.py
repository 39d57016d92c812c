"""What ``import kinelex`` gives, and how stores and runs show themselves."""

import pkgutil
import subprocess
import sys

import pytest

import kinelex
from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta
from kinelex.errors import InputError
from kinelex.skeleton import get_layout
from kinelex.training.run_directory import RunDirectory


def test_every_subpackage_and_function_is_there_and_listed():
    packages = {module.name for module in pkgutil.iter_modules(kinelex.__path__) if module.ispkg}
    assert packages - {"cli"} <= set(dir(kinelex))
    for name in dir(kinelex):
        assert getattr(kinelex, name) is not None
    assert "stgcn" in kinelex.list_encoders()
    assert kinelex.create_encoder("stgcn", layout="kinect20", channels=2).num_features == 32
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = kinelex.nothing


def test_importing_takes_no_torch_and_no_other_package():
    code = "import sys, kinelex; dir(kinelex); print({'torch', 'numpy', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_stores_and_runs_show_themselves(acted):
    store, prompts, run = (
        kinelex.open_store(acted.store),
        kinelex.open_prompts(acted.prompts),
        RunDirectory(acted.run),
    )
    assert "SkeletonStore(path=" in repr(store)
    assert "clips=120, layout='ntu25, 25 joints', coordinates='3-D, metres'" in repr(store)
    assert "language='told, drawn, 8 numbers'" in repr(prompts)
    assert "method='c2vl', encoder='stgcn', dataset='actors', protocol='xsub', epochs='1 of 1'" in repr(run)
    for shown in (store, prompts, run):
        html = shown._repr_html_()
        assert html.startswith("<table><caption>")
        assert all(f"<th style='text-align:left'>{name}</th>" in html for name in shown.facts())


def test_names_in_a_table_are_escaped_and_a_damaged_run_can_be_shown(tmp_path):
    import numpy as np

    path = tmp_path / "<b>&.arrow"
    with SkeletonStoreWriter(path, StoreMeta("<script>", get_layout("ntu25"), class_names=("a",))) as writer:
        writer.add(Sequence("clip", np.ones((4, 1, 25, 3)), label=0))
    html = kinelex.open_store(path)._repr_html_()
    assert "&lt;script&gt;" in html
    assert "<script>" not in html
    assert "&lt;b&gt;&amp;.arrow" in html
    (tmp_path / "config.yaml").write_text("- no mapping")
    with pytest.raises(InputError):
        _ = RunDirectory(tmp_path).config
    assert "damaged=" in repr(RunDirectory(tmp_path))
