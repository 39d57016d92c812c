"""Published checkpoints: their names and ours."""
