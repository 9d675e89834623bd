"""Sizes of files as people read them."""


def file_size(count: int) -> str:
    """`67 bytes`, `4.0 kB`, `1.2 MB`, `2,345.6 MB`; by thousands."""
    if count < 1000:
        return f"{count} byte{'' if count == 1 else 's'}"
    if count < 1_000_000:
        return f"{count / 1e3:.1f} kB"
    return f"{count / 1e6:,.1f} MB"
