"""All parts of the plugin; importing a file registers what is in it."""

from kinelex_template import encoder, language, method, reader, task, transform  # noqa: F401
