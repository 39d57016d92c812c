"""The engine rtmlib, run with tiny ONNX models that have the forms of YOLOX and RTMPose."""

from pathlib import Path

import numpy as np
import pytest

from kinelex.errors import InputError
from kinelex.pose import create

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("rtmlib", reason="rtmlib is not installed")
SIZE = (256, 192)  # of the key points' pictures, height and width


def constant_model(path: Path, size: tuple[int, int], **outputs: np.ndarray) -> Path:
    """An ONNX model that takes a picture and gives these outputs whatever is on it."""
    nodes, values = [], []
    for name, array in outputs.items():
        value = onnx.numpy_helper.from_array(array.astype(np.float32), f"{name}_value")
        nodes.append(onnx.helper.make_node("Constant", [], [name], value=value))
        values.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, array.shape))
    picture = onnx.helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [1, 3, *size])
    graph = onnx.helper.make_graph(nodes, "constant", [picture], values)
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


@pytest.fixture
def files(tmp_path):
    """A detector that sees two boxes (and a third with a low score), and 17 joints in each box."""
    boxes = np.array([[[0, 0, 32, 64, 0.9], [64, 0, 96, 64, 0.8], [5, 5, 9, 9, 0.1]]])
    joints = np.arange(17)
    across, down = np.zeros((1, 17, 2 * SIZE[1])), np.zeros((1, 17, 2 * SIZE[0]))
    across[0, joints, SIZE[1]] = 0.75  # the middle of the box, and from its top downwards
    down[0, joints, 20 * joints + 100] = 0.75
    detector = constant_model(tmp_path / "detector.onnx", (64, 128), dets=boxes)
    return detector, constant_model(tmp_path / "pose.onnx", SIZE, simcc_x=across, simcc_y=down)


def test_each_box_of_a_person_gets_its_joints(files):
    detector, model = files
    engine = create("rtmlib", 2, model=str(model), detector=str(detector))
    poses = engine.detect(np.zeros((64, 128, 3), np.uint8), 0.0)
    assert engine.layout.name == "coco17"
    assert poses.image.shape == (2, 17, 2)
    assert poses.world is None
    np.testing.assert_allclose(poses.scores, 0.75)
    np.testing.assert_allclose(poses.image[:, :, 0], np.array([[16], [80]]) * np.ones(17), atol=1)
    assert (np.diff(poses.image[:, :, 1], axis=1) > 0).all()
    assert len(engine.files()) == 2


def test_nobody_is_nobody_and_a_wrong_model_is_one_message(files, tmp_path):
    detector, model = files
    nobody = constant_model(tmp_path / "nobody.onnx", (64, 128), dets=np.array([[[0, 0, 9, 9, 0.1]]]))
    engine = create("rtmlib", 1, model=str(model), detector=str(nobody))
    assert engine.detect(np.zeros((64, 128, 3), np.uint8), 0.0).image.shape == (0, 17, 2)
    engine = create("rtmlib", 1, body="feet", model=str(model), detector=str(detector))
    with pytest.raises(InputError, match="gives 17 joints, expects 26"):
        engine.detect(np.zeros((64, 128, 3), np.uint8), 0.0)
    engine = create("rtmlib", 1, body="whole", model=str(model), detector=str(detector))
    with pytest.raises(InputError, match=r"gives 17 joints, expects 133 \(coco133\)"):
        engine.detect(np.zeros((64, 128, 3), np.uint8), 0.0)
    with pytest.raises(InputError, match="there is no file"):
        create("rtmlib", 1, model=str(tmp_path / "no.onnx"), detector=str(detector))
    (tmp_path / "damaged.onnx").write_bytes(b"no model")
    with pytest.raises(InputError, match="is no ONNX model"):
        create("rtmlib", 1, model=str(tmp_path / "damaged.onnx"), detector=str(detector))
