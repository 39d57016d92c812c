"""Numbers of the papers, each with the text in which it was read, for reports and comparisons."""

from kinelex.evaluation.published.numbers import Published, Source, published_numbers, read_published

__all__ = ["Published", "Source", "published_numbers", "read_published"]
