"""What fills the cells of a result that are not computed."""

from PIL import ImageColor

from uhrtranslate.errors import OptionError

Colour = tuple[int, int, int]


def parse_background(text: str) -> Colour | None:
    """Read what fills cells without tissue.

    Args:
        text: `keep` for the image's own pixels, or a colour: a CSS name, `#rrggbb`, or `R,G,B`.

    Returns:
        RGB in 0..255; None for `keep`.

    Raises:
        OptionError: the text is none of these.
    """
    wrong = OptionError(
        f"--background {text}: must be keep, white or a colour, as #f3f3f3, 243,243,243 or ivory."
    )
    if text == "keep":
        return None
    try:
        if "," in text and "(" not in text:
            colour = tuple(int(part) for part in text.split(","))
        else:
            colour = ImageColor.getrgb(text)
    except ValueError:
        raise wrong from None
    if len(colour) != 3 or not all(0 <= value <= 255 for value in colour):
        raise wrong
    return colour[0], colour[1], colour[2]
