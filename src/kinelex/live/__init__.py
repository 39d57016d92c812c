"""A local page that shows what a model says of a webcam or a video, while it runs."""

from kinelex.live.server import LiveOptions, live_app, serve

__all__ = ["LiveOptions", "live_app", "serve"]
