"""Plugins: how they are found, and what runs remember of them."""

import os
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from kinelex import plugins
from kinelex.errors import InputError
from kinelex.registry import Registry


@pytest.fixture
def fresh(monkeypatch):
    """As in a process that has loaded no plugin yet."""
    for name in ("_loaded", "_looked"):
        monkeypatch.setattr(plugins, name, [])
    monkeypatch.setattr(plugins, "_broken", {})
    monkeypatch.setenv(plugins.VARIABLE, "")
    monkeypatch.setattr(sys, "path", list(sys.path))
    modules = set(sys.modules)
    yield
    for name in set(sys.modules) - modules:
        if name.startswith("own_"):
            del sys.modules[name]


def test_a_module_of_the_current_folder_is_found_and_children_load_it_too(fresh, tmp_path, monkeypatch):
    (tmp_path / "own_parts.py").write_text("value = 7\n")
    monkeypatch.chdir(tmp_path)
    plugins.load("own_parts")
    assert sys.modules["own_parts"].value == 7
    assert os.environ[plugins.VARIABLE] == "own_parts"
    assert plugins.load_installed() == ("own_parts",)


def test_a_part_is_of_the_module_that_registers_it(fresh, tmp_path, monkeypatch):
    (tmp_path / "own_both").mkdir()
    for name in ("__init__", "first", "second"):
        (tmp_path / "own_both" / f"{name}.py").write_text(f"class {name.title()}: ...\n")
    monkeypatch.chdir(tmp_path)  # a package of the current folder is found, too
    plugins.load("own_both.first", "own_both.second")
    assert plugins.used_by(sys.modules["own_both.second"].Second) == ["own_both.second"]


def test_the_environment_variable_names_modules(fresh, tmp_path, monkeypatch):
    (tmp_path / "own_a.py").touch()
    (tmp_path / "own_b.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(plugins.VARIABLE, "own_a, own_b,")
    assert plugins.load_installed() == ("own_a", "own_b")


@pytest.mark.parametrize(
    ("module", "content", "message"),
    [
        (
            "own_nothing",
            None,
            r"there is no module own_nothing: install it, or start where own_nothing\.py is",
        ),
        ("own_parts.py", "", r"expects a plugin's module as Python names it, package\.module without \.py"),
        ("own parts", None, "expects a plugin's module as Python names it"),
        (
            "own_fault",
            "1 / 0\n",
            r"own_fault cannot be imported: ZeroDivisionError: .*import own_fault'. shows",
        ),
        (
            "own_needs",
            "import own_missing\n",
            "own_needs cannot be imported: ModuleNotFoundError: .*own_missing",
        ),
    ],
)
def test_what_cannot_be_loaded_is_one_message(fresh, tmp_path, monkeypatch, module, content, message):
    if content is not None:
        (tmp_path / f"{module.removesuffix('.py')}.py").write_text(content)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        plugins.load(module)
    assert os.environ[plugins.VARIABLE] == ""


def test_a_broken_installed_plugin_is_left_out_with_a_warning(fresh, tmp_path, monkeypatch):
    (tmp_path / "own_fault.py").write_text("1 / 0\n")
    (tmp_path / "own_good.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    there = [EntryPoint(name, name, plugins.GROUP) for name in ("own_fault", "own_good")]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: there)
    with pytest.warns(UserWarning, match="own_fault is left out.*ZeroDivisionError"):
        assert plugins.load_installed() == ("own_good",)
    with pytest.raises(InputError, match="RUN uses the plugin own_fault, which cannot be imported: ZeroDiv"):
        plugins.require(["own_good", "own_fault"], "RUN")


def test_a_run_imports_nothing_by_itself(fresh, tmp_path, monkeypatch):
    (tmp_path / "own_trap.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        InputError, match="RUN uses the plugin own_trap, which is not loaded.*--plugin own_trap"
    ):
        plugins.require(["own_trap"], "RUN")
    with pytest.raises(InputError, match="RUN uses a part that a script registered: put it into a module"):
        plugins.require(["__main__"], "RUN")


def test_a_registry_takes_each_name_once_and_the_same_part_again():
    shapes = Registry("shape", {"path": "pathlib:Path"})

    def circle():
        """A circle."""

    assert shapes.register(shapes.register(circle)) is circle
    assert shapes.find("path") is Path
    assert shapes.names() == ("circle", "path")

    class Square:
        name = "circle"

    with pytest.raises(InputError, match="the shape 'circle' is there already .*choose another name"):
        shapes.register(Square)
    Square.name = "path"
    with pytest.raises(InputError, match="the shape 'path' is there already .pathlib:Path."):
        shapes.register(Square)
