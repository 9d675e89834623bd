"""The use cases, one module each; they print nothing.

Nothing is imported here, so that the command line can show its help without torch.
"""
