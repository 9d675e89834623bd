"""Durations as people read them."""


def duration(seconds: float) -> str:
    """`0.4 s`, `42 s`, and from a minute on `0:02:03` or `1:02:03`: hours, minutes, seconds."""
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
