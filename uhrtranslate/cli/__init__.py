"""The command line: parse, call a task, print; nothing is computed here."""

from uhrtranslate.cli.app import main as main
