"""The command line: each verb is a typed function in a file of its own, :mod:`main` runs it."""

from kinelex.cli.main import VERBS, main

__all__ = ["VERBS", "main"]
