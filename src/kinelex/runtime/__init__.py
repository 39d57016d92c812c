"""Exported models with numpy and onnxruntime alone: what ``kinelex export RUN --to onnx`` wrote, anywhere.

Importing it imports neither torch nor any other part of kinelex.

>>> from kinelex import runtime
>>> model = runtime.load("run.onnx")  # doctest: +SKIP
>>> model.predict(frames, fps=30).label  # doctest: +SKIP
'wave'
"""

from kinelex.runtime.model import ExportedModel, load
from kinelex.runtime.predictions import NONE, ClipPrediction, Predictions

__all__ = ["NONE", "ClipPrediction", "ExportedModel", "Predictions", "load"]
