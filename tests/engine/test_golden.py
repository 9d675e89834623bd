"""The mirrored geometry against arrays that the methods' public code produced."""

import re

import numpy as np
import pytest
from golden import OUTPUTS, cases
from support import translate_array

from uhrtranslate.models import load_generator
from uhrtranslate.normalizers import DN, KIN, TIN, PatchIN

# Measured: at most 2.1e-5; a biased std would be 2e-3 off.
TOLERANCE = 1e-4


def normalizer_named(name):
    simple = {"in": PatchIN(), "tin": TIN(), "dn": DN(reciprocal_eps=1e-7)}
    if name in simple:
        return simple[name]
    kind, size = re.fullmatch(r"kin_([a-z]+)(\d+)", name).groups()
    return KIN(kernel=int(size), kernel_type=kind)


@pytest.mark.parametrize(("file", "name"), cases())
def test_float_output_matches_the_public_code(file, name, shared):
    arrays = np.load(shared / "golden" / f"{file}.npz")
    checkpoint, cell, _ = OUTPUTS[file]
    resized, method, padding = re.fullmatch(r"out_(resized_)?(.+)_p(\d+)", name).groups()
    result = translate_array(
        arrays["resized_u8" if resized else "input_u8"],
        load_generator(shared / "golden" / f"{checkpoint}.pth").module,
        normalizer_named(method),
        cell=cell,
        halo=int(padding),
        mirrored=True,
        thumbnail=arrays["thumb_u8"],
        floats=True,
    )
    assert np.abs(result.transpose(2, 0, 1) - arrays[name]).max() < TOLERANCE


@pytest.mark.parametrize("file", OUTPUTS)
def test_every_golden_output_is_compared(file, shared):
    names = {name for name in np.load(shared / "golden" / f"{file}.npz") if name[:4] == "out_"}
    assert names == {name for _, name in cases(file)}
