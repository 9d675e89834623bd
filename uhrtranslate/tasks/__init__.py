"""The use cases, one module each; they print nothing, and no two share code that belongs below.

Nothing is imported here, so that the command line can show its help without torch.
"""
