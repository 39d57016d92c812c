"""Every reader keeps the one contract."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from kinelex.data import Sequence
from kinelex.datasets import FilesReader, prepare, register
from kinelex.datasets.reader import Reader
from kinelex.datasets.registry import READERS, reader_class, reader_options
from kinelex.errors import InputError

BUILT_IN = sorted(READERS)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_reader_keeps_the_contract(name: str, tmp_path: Path) -> None:
    reader = reader_class(name)
    assert issubclass(reader, Reader)
    assert (reader.dataset, bool(reader.expected), bool(reader.__doc__)) == (name, True, True)
    for option, (kind, default, text) in reader_options(name).items():
        assert text, f"{option} has no description"
        assert default is None or isinstance(default, kind)
    (tmp_path / "raw").mkdir()
    bound = reader(tmp_path / "raw")
    assert pickle.loads(pickle.dumps(bound)).source == bound.source
    for source, said in (("gone", "does not exist: expects"), ("raw", "expects")):
        with pytest.raises(InputError, match=said):
            prepare(name, tmp_path / source, tmp_path / "s.arrow", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


@pytest.fixture
def words():
    """The name of a data set that is forgotten afterwards."""
    yield "words"
    READERS.pop("words", None)


def test_a_registered_reader_needs_a_few_lines(words: str, tmp_path: Path) -> None:
    class Words(FilesReader):
        """Text files of a number each."""

        dataset, expected, layout, pattern = words, "files *.txt", "sbu15", "*.txt"

        @classmethod
        def class_names(cls):
            return ("one",)

        def read(self, item):
            yield Sequence(item.path.stem, np.full((4, 1, 15, 3), float(item.path.read_text())), label=0)

    register(Words)
    for name in ("b", "a"):
        (tmp_path / f"{name}.txt").write_text("1.5")
    assert prepare(words, tmp_path, tmp_path / "s.arrow", progress=False).written == 2

    class Other(Words):
        dataset = "nw_ucla"

    with pytest.raises(InputError, match="'nw_ucla' is there already"):
        register(Other)
