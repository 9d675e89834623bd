"""The command line: parse, call the tasks, print."""

from uhrtranslate.cli.app import main

__all__ = ["main"]
