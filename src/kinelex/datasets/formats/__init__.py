"""The formats of single clips: motion capture, key points of detectors, tables, arrays."""
