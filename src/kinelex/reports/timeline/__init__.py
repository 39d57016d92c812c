"""Events in long recordings, as a page and drawn over the video."""

from kinelex.reports.timeline.video import write_video
from kinelex.reports.timeline.write import write_timelines

__all__ = ["write_timelines", "write_video"]
