"""What a trained encoder is used for: features of clips."""
