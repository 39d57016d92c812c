"""Language and vision engines: one file each."""
