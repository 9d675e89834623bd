"""The version, in a file of its own so that nothing needs the package's top for it."""

__version__ = "0.1.0"
