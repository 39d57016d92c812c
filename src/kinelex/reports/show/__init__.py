"""Clips to look at: a page of interactive players, GIF and MP4."""

from kinelex.reports.show.clips import Shown, ShowOptions
from kinelex.reports.show.page import Page, show

__all__ = ["Page", "ShowOptions", "Shown", "show"]
