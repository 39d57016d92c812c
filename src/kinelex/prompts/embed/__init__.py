"""Encoders of texts and pictures."""
