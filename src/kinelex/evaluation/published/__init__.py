"""Numbers of the papers, each with the text in which it was read, for reports and comparisons."""

from kinelex.evaluation.published.numbers import Published, Source, published_numbers, read_published
from kinelex.reports.run.published import published_section

__all__ = ["Published", "Source", "published_numbers", "published_section", "read_published"]
