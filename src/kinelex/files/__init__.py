"""Files read with care and written whole: the machinery under every store, reader and run directory."""
