"""What a model says of clips; it is said alike by an exported model, which has no torch."""

from kinelex.runtime.predictions import NONE, ClipPrediction, Predictions

__all__ = ["NONE", "ClipPrediction", "Predictions"]
