"""The house rules that a machine can see; `make test` runs import-linter's and deptry's beside them."""

import graphlib
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import grimp
import pytest

import kinelex

SOURCE = Path(kinelex.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
MOST_LINES, MOST_PRIVATE = 300, 30


def test_no_file_is_long() -> None:
    long = {str(p.relative_to(SOURCE)): len(p.read_text().splitlines()) for p in FILES}
    assert {name: lines for name, lines in long.items() if lines > MOST_LINES} == {}


def test_a_private_file_is_one_that_two_files_of_its_folder_use() -> None:
    private = [p for p in FILES if re.fullmatch(r"_[^_].*", p.stem)]
    assert len(private) <= MOST_PRIVATE
    for path in private:
        module = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)
        used = re.compile(rf"from {re.escape(module)} import|import {re.escape(module)}\b")
        users = [p for p in path.parent.glob("*.py") if p != path and used.search(p.read_text())]
        assert len(users) >= 2, f"{path.relative_to(SOURCE)} is used by {[p.name for p in users]}"


def test_no_file_imports_itself_by_way_of_others() -> None:
    graph = grimp.build_graph("kinelex", exclude_type_checking_imports=True, cache_dir=None)
    imports = {m: graph.find_modules_directly_imported_by(m) - {"kinelex"} for m in graph.modules}
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def public() -> Iterator[tuple[str, Callable]]:
    """Classes and functions that kinelex, its rooms and their folders export, each once."""
    rooms, seen = [kinelex], set()
    for room in rooms:
        folders = [m.name for m in pkgutil.iter_modules(room.__path__, f"{room.__name__}.") if m.ispkg]
        rooms += [importlib.import_module(name) for name in folders]
        for name in getattr(room, "__all__", ()):
            thing = getattr(room, name)
            if callable(thing) and id(thing) not in seen:
                seen.add(id(thing))
                yield f"{room.__name__}.{name}", thing


# What is documented but for an example.
WAITING = {  # it would need a store on disk
    "kinelex.evaluation.copies",
    "kinelex.evaluation.prompt_probe",
    "kinelex.evaluation.raw_knn",
}
PUBLIC = {name: thing for name, thing in public() if name not in WAITING}


def annotations(thing: Callable) -> str:
    """The types of what it takes, gives and holds."""
    parts = [thing]
    if inspect.isclass(thing):
        methods = (vars(thing).get(name) for name in ("__init__", "__call__", "forward"))
        parts += [method for method in methods if inspect.isfunction(method)]
    return " ".join(str(t) for part in parts for t in getattr(part, "__annotations__", {}).values())


def docs(thing: Callable) -> str:
    """Its docstring, of a class together with those of its methods."""
    methods = vars(thing).values() if inspect.isclass(thing) else ()
    return "\n".join(part.__doc__ or "" for part in (thing, *filter(inspect.isroutine, methods)))


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_documented(name: str) -> None:
    thing, text = PUBLIC[name], docs(PUBLIC[name])
    first = (thing.__doc__ or "").strip().split("\n\n")[0]
    assert first.endswith((".", ":", "?")), f"expects a docstring that begins with a sentence, got {first!r}"
    assert not first.startswith(f"{thing.__name__}("), "a dataclass's own words are no docstring"
    arrays = re.search(r"Tensor|ndarray", annotations(thing))
    assert not arrays or "Shape:" in text, "takes, gives or holds arrays: expects their Shape:"
    if inspect.isclass(thing):
        return
    raises = re.search(r"raise (InputError|unknown_name)\b", inspect.getsource(thing))
    assert not raises or "Raises:" in text, "raises an error: expects Raises:"
    assert not arrays or ">>>" in text, "takes or gives arrays: expects an example"
