"""Whether an image has the resolution that a generator was trained at."""

from uhrtranslate.io import CONVENTION, SlideView

# Scanners of one objective power differ by this much.
LEAST, MOST = 0.8, 1.25


def resolution_warning(view: SlideView, trained: float | None, generator: str) -> str | None:
    """What is wrong with a view's resolution, and the remedy, in one sentence; None if nothing.

    Args:
        view: at the working resolution.
        trained: micrometres per pixel that the generator was trained at; None if unknown.
        generator: its name.
    """
    if trained is None:
        return None
    path, what = view.info.path, f"{generator} was trained at {trained:g} um/px"
    if view.mpp is None:
        power = view.info.objective_power
        said = (
            "20|40"
            if power is None
            else f"{power:g} (it says {power:g}x, so {CONVENTION / power:g})"
        )
        return (
            f"{path}: does not say its mpp, and {what}; state it with --source-mpp F or "
            f"--source-power {said}, with --mpp {trained:g} to have it resampled."
        )
    here = view.mpp[0]
    if LEAST < here / trained < MOST:
        return None
    remedy = f"--mpp {trained:g} would match"
    base = view.info.mpp
    if here > trained and base is not None and base[0] > trained * MOST:
        remedy = (
            "it has no finer level: choose another generator or a finer scan, or, if it is wrong "
            "about its mpp, state it with --source-mpp F"
        )
    return f"{path}: is translated at {here:.3g} um/px, and {what}; {remedy}."
