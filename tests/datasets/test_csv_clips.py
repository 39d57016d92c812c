"""Tables as people have them: headers, index columns, decimals, confidences, lost frames; the same clip."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folder_files import folder
from format_files import drawn_clip

from kinelex.data import open_store
from kinelex.datasets import prepare
from kinelex.datasets.formats.csv_clip import read_csv
from kinelex.datasets.formats.table import read_table
from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout, get_layout

ARM = SkeletonLayout("arm", ("left_shoulder", "left_elbow", "left_wrist"), (0, 0, 1))
X = drawn_clip(0, 4, 1, 3, 2).astype(np.float64).round(3) * 100


def rows(x: np.ndarray, mark: str = ",", before: Any = None) -> str:
    flat = x.reshape(len(x), -1)
    lead = [[] for _ in flat] if before is None else [[str(cell)] for cell in before]
    cells = [[*first, *(f"{value:.4f}" for value in row)] for first, row in zip(lead, flat, strict=True)]
    return "".join(mark.join(row) + "\n" for row in cells)


HEAD = "left_shoulder_x,left_shoulder_y,left_elbow_x,left_elbow_y,left_wrist_x,left_wrist_y\n"
SAME = {
    "no header": rows(X),
    "pandas": "0,1,2,3,4,5\n" + rows(X),
    "pandas with an index": ",0,1,2,3,4,5\n" + rows(X, before=range(4)),
    "R": '"","V1","V2","V3","V4","V5","V6"\n' + rows(X, before=('"1"', '"2"', '"3"', '"4"')),
    "MATLAB": "Var1,Var2,Var3,Var4,Var5,Var6\n" + rows(X),
    "an index without a header": rows(X, before=range(4)),
    "names": HEAD + rows(X),
    "a byte order mark": "\ufeff" + HEAD + rows(X),
    "names of OpenPose": "LShoulder_x,LShoulder_y,LElbow_x,LElbow_y,LWrist_x,LWrist_y\n" + rows(X),
    "names with spaces": "Left Shoulder X,Left Shoulder Y,Left Elbow X,Left Elbow Y,L wrist x,L wrist y\n"
    + rows(X),
    "axes first": "x_left_shoulder,y_left_shoulder,x_left_elbow,y_left_elbow,x_left_wrist,y_left_wrist\n"
    + rows(X),
    "numbers of joints": "x0,y0,x1,y1,x2,y2\n" + rows(X),
    "numbers from 1": "kp_1_x;kp_1_y;kp_2_x;kp_2_y;kp_3_x;kp_3_y\n".replace("kp_", "") + rows(X, ";"),
    "frame numbers": "frame," + HEAD + rows(X, before=range(7, 11)),
    "frame numbers of every second": "Frame," + HEAD + rows(X, before=range(0, 8, 2)),
    "a time": "timestamp," + HEAD + rows(X, before=(0.0, 0.033, 0.07, 0.1)),
    "semicolons": HEAD.replace(",", ";") + rows(X, ";"),
    "decimal commas": HEAD.replace(",", ";") + rows(X, ";").replace(".", ","),
    "tabs": HEAD.replace(",", "\t") + rows(X, "\t"),
    "tabs and decimal commas": HEAD.replace(",", "\t") + rows(X, "\t").replace(".", ","),
    "spaces": rows(X, "  "),
    "numpy's comment": "# " + HEAD + rows(X),
    "units in a row": HEAD + "px,px,px,px,px,px\n" + rows(X),
    "units in brackets": HEAD.replace("_x", "_x [px]") + rows(X),
    "DeepLabCut": "scorer,net,net,net,net,net,net\n"
    "bodyparts,LShoulder,LShoulder,LElbow,LElbow,LWrist,LWrist\ncoords,x,y,x,y,x,y\n"
    + rows(X, before=range(4)),
    "merged cells": "LShoulder,,LElbow,,LWrist,\nx,y,x,y,x,y\n" + rows(X),
    "lines of Windows": (HEAD + rows(X)).replace("\n", "\r\n"),
}


@pytest.mark.parametrize("kind", SAME)
def test_tables_of_other_tools_are_the_same_clip(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(SAME[kind], encoding="utf-8", newline="")
    np.testing.assert_allclose(read_csv(tmp_path / "a.csv", ARM).coordinates, X, rtol=1e-9)


def test_other_joints_and_confidences_in_a_header(tmp_path: Path) -> None:
    head = "NOSE_x,NOSE_y," + HEAD.strip()
    for score in ("visibility", "c", "likelihood", "confidence"):
        head += f",left_shoulder_{score},left_elbow_{score},left_wrist_{score}\n"
        scores = np.arange(12).reshape(4, 3) / 12
        table = np.concatenate([X[:, 0, :1].reshape(4, 2), X.reshape(4, -1), scores], axis=1)
        (tmp_path / "a.csv").write_text(head + rows(table))
        clip = read_csv(tmp_path / "a.csv", ARM)
        np.testing.assert_allclose(clip.coordinates, X)
        np.testing.assert_allclose(clip.scores[:, 0], scores, atol=1e-4)
        assert clip.notes == ("joints and columns left out: NOSE",)
        head = "NOSE_x,NOSE_y," + HEAD.strip()


def test_the_header_tells_a_built_in_layout(tmp_path: Path) -> None:
    names = [joint.upper() for joint in get_layout("mediapipe33").joints]
    header = ",".join(f"{name}_{axis}" for name in names for axis in ("x", "y", "z", "visibility")) + "\n"
    x = drawn_clip(1, 3, 1, 33, 4) / 2
    (tmp_path / "a.csv").write_text(header + rows(x))
    clip = read_csv(tmp_path / "a.csv", None)
    assert (clip.layout.name, clip.coordinates.shape) == ("mediapipe33", (3, 1, 33, 3))
    np.testing.assert_allclose(clip.scores, x[..., 3], atol=1e-4)
    (tmp_path / "a.csv").write_text(HEAD + rows(X))
    with pytest.raises(InputError, match="joints of no built-in layout: pass --layout"):
        read_csv(tmp_path / "a.csv", None)


def test_lost_frames_and_empty_cells_are_nan(tmp_path: Path) -> None:
    text = "frame," + HEAD + rows(X, before=(0, 1, 3, 4))
    (tmp_path / "a.csv").write_text(
        text.replace(f"{X[3, 0, 2, 1]:.4f}", "NaN").replace(f"{X[1, 0, 0, 0]:.4f}", "")
    )
    found = read_csv(tmp_path / "a.csv", ARM).coordinates
    assert np.isnan(found[2]).all()
    assert np.isnan(found[[1, 4]]).sum() == 2
    np.testing.assert_allclose(found[[0, 3]], X[[0, 2]])


@pytest.mark.parametrize("mark", [",", "\t"])
def test_a_row_of_empty_cells_is_a_lost_frame_and_none_behind_the_last(mark: str, tmp_path: Path) -> None:
    lines = rows(X).splitlines()
    nothing = "," * HEAD.count(",")
    text = "\n".join([HEAD.strip(), "", nothing, lines[0], nothing, "", lines[1], nothing, nothing]) + "\n"
    (tmp_path / "a.csv").write_text(text.replace(",", mark))
    found = read_csv(tmp_path / "a.csv", ARM).coordinates
    assert np.isnan(found).all(axis=(1, 2, 3)).tolist() == [False, True, False]
    np.testing.assert_allclose(found[[0, 2]], X[:2])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "frame," + HEAD + rows(X, before=(0, 0, 1, 1)),
            "row 2 has frame 0 behind 0: expects one row per frame",
        ),
        ("frame," + HEAD + rows(X, before=(0, 1, 2, 900)), "frames 0 to 900, but 4 rows"),
        ("person," + HEAD + rows(X, before=(0, 1, 0, 1)), "'person' has several persons"),
        (
            HEAD.replace("left_elbow", "L_Shoulder") + rows(X),
            "columns twice in the header: joint left_shoulder and",
        ),
        (
            HEAD.replace("left_elbow", "left_ellbow") + rows(X),
            "lacks left_elbow_x.*'left_ellbow': did you mean",
        ),
        (rows(X) + rows(X)[:20].replace(",", "."), "expects numbers, as many in each row"),
    ],
)
def test_bad_tables(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text.rstrip("\n") + "\n")
    with pytest.raises(InputError, match=f"a.csv: .*{reason}"):
        read_csv(tmp_path / "a.csv", ARM)


@pytest.mark.parametrize("before", ["", HEAD, ",".join(f"j{n}_x" for n in range(900_000)) + "\n"])
def test_a_row_of_900_000_numbers_is_one_short_message(before: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(before + ",".join(["1.5"] * 900_000) + "\n")
    with pytest.raises(InputError, match=r"a.csv: 900000 columns, expects at most 10000") as caught:
        read_csv(tmp_path / "a.csv", ARM)
    assert len(str(caught.value)) < 300


def test_many_columns_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",".join(["1.5"] * 10_000) + "\n")
    assert read_table(tmp_path / "a.csv").numbers([0, 9_999]).tolist() == [[1.5, 1.5]]


def prepared(tmp_path: Path, files: dict[str, Any], manifest: str = "file\na.csv\n", **options: Any) -> Any:
    source = folder(tmp_path / "raw", manifest, files, layout=None)
    summary = prepare("folder", source, tmp_path / "s.arrow", progress=False, **options)
    return open_store(tmp_path / "s.arrow"), summary


def test_x_y_confidence_is_no_third_coordinate(tmp_path: Path) -> None:
    x = drawn_clip(0, 3, 1, 18, 3).astype(np.float64)
    x[..., :2] *= 300
    x[..., 2] /= 2
    x[1, 0, 4] = 0
    store, summary = prepared(tmp_path, {"a.csv": rows(x)}, layout="openpose18")
    assert (store.channels, store.meta.units) == (2, "pixels")
    np.testing.assert_allclose(store.scores(0), x[..., 2], atol=1e-4)
    assert "taken as its confidence" in summary.notes[0]
    store, summary = prepared(
        tmp_path, {"a.csv": rows(x)}, layout="openpose18", channels="xyz", units="pixels"
    )
    assert (store.channels, store.scores(0), summary.notes) == (3, None, ())


def test_a_row_of_mediapipe_has_a_visibility(tmp_path: Path) -> None:
    x = drawn_clip(0, 3, 1, 33, 4).astype(np.float64) - 1
    x[..., 3] = 0.75
    store, _ = prepared(tmp_path, {"a.csv": rows(x)}, layout="mediapipe33")
    assert (store.channels, store.sequence(0).shape) == (3, (3, 1, 33, 3))
    assert (store.scores(0) == 0.75).all()
    np.savez(tmp_path / "raw" / "b.npz", coordinates=x.reshape(3, -1))
    (tmp_path / "raw" / "manifest.csv").write_text("file\nb.npz\n")
    prepare("folder", tmp_path / "raw", tmp_path / "s.arrow", progress=False, layout="mediapipe33")
    assert open_store(tmp_path / "s.arrow").sequence(0).shape == (3, 1, 33, 3)
