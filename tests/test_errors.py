"""The one exception for wrong input."""

import pytest

from kinelex.errors import InputError, unknown_name


def test_input_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="expects"):
        raise InputError("expects 25 joints")


def test_unknown_name_gives_the_closest_match_and_all_names() -> None:
    message = str(unknown_name("layout", "kinect2", ["ntu25", "kinect20"]))
    assert message == "unknown layout 'kinect2': did you mean 'kinect20'? Known: kinect20, ntu25"


def test_unknown_name_without_a_close_match_gives_no_hint() -> None:
    assert str(unknown_name("stream", "xyz", ["joint", "bone"])) == "unknown stream 'xyz'. Known: bone, joint"


def test_unknown_name_without_any_known() -> None:
    assert str(unknown_name("protocol", "xsub", [])) == "unknown protocol 'xsub'. Known: none"
