"""The use cases, a module each: importable, and silent.

Nothing is imported here, so that the command line can show its help without torch.
"""
