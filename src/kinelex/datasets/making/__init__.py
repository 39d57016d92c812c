"""From a reader's items to a store: workers, chunks, checks."""
