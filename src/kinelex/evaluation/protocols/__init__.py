"""The protocols that judge a trained encoder: each a task of ``evaluate``, one file each."""
