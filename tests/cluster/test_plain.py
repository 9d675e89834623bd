"""Of pickles that are sent, only plain values and our own types are read."""

import pickle
import subprocess
from pathlib import Path

import numpy as np
import pytest

from uhrtranslate.cluster.makers import TranslatorMaker
from uhrtranslate.cluster.orders import Job, SlideOrder
from uhrtranslate.cluster.plain import dumps, loads
from uhrtranslate.errors import InputError
from uhrtranslate.options import make_options


def test_plans_arrays_and_errors_are_read():
    options = make_options({"norm": "dn", "mpp": 0.5})
    order = SlideOrder(Job(Path("a.svs"), Path("a.tif"), options, TranslatorMaker({"m": "0"})), 4)
    assert loads(dumps(order)) == order
    array = np.arange(12, dtype=np.float32).reshape(3, 4)[::2]
    np.testing.assert_array_equal(loads(dumps(array)), array)
    for error in (InputError("a.svs: is damaged."), FileNotFoundError(2, "none", "a.svs")):
        assert repr(loads(dumps(error))) == repr(error)


class Calls:
    """Its pickle calls something when it is read."""

    def __init__(self, what, *arguments):
        self.how = what, arguments

    def __reduce__(self):
        return self.how


@pytest.mark.parametrize("called", [eval, exec, getattr, __import__, subprocess.Popen, Calls])
def test_nothing_else_is_read(called):
    with pytest.raises(pickle.UnpicklingError, match="is no type that uhrt sends"):
        loads(dumps([Calls(called, "1")]))


@pytest.mark.parametrize(
    ("module", "name"),
    [("orders", "Path"), ("worker", "os.system"), ("worker", "threading.Thread"), ("worker", "do")],
)
def test_what_our_modules_import_or_do_is_not_read(module, name):
    module = f"uhrtranslate.cluster.{module}"
    texts = (b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name))
    with pytest.raises(pickle.UnpicklingError, match="is no type that uhrt sends"):
        loads(b"\x80\x04" + b"".join(texts) + b"\x93.")
