import pytest

from uhrtranslate.errors import InputError, UhrError


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ("a.tif: is empty.", "a.tif: is empty."),
        ("a.tif: two\r\nlines\n", "a.tif: two lines"),
        ("a.tif: \x1b[31mred\x07\x00", "a.tif: ?[31mred??"),
        ("für Ärzte: größer", "für Ärzte: größer"),
    ],
)
def test_errors_are_one_line_that_leaves_the_terminal_alone(raw, told):
    assert str(InputError(raw)) == told
    assert str(UhrError()) == ""
