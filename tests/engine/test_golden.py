"""The mirrored geometry against arrays that the methods' public code produced."""

import re

import numpy as np
import pytest
from support import SHARED, needs_shared, translate_array

from uhrtranslate.models import load_generator
from uhrtranslate.normalizers import DN, KIN, TIN, PatchIN

# Measured: at most 2.1e-5; a biased std would be 2e-3 off.
TOLERANCE = 1e-4

FILES = {
    "main_P64": ("gen_kaminyou", 64),
    "small_P32": ("gen_kaminyou", 32),
    "small_P32_affine": ("gen_kaminyou_affine", 32),
    "cut_antialias_P64": ("gen_cut_antialias", 64),
    "nonmultiple_P64": ("gen_kaminyou", 64),
}


def normalizer_named(name):
    simple = {"in": PatchIN(), "tin": TIN(), "dn": DN(reciprocal_eps=1e-7)}
    if name in simple:
        return simple[name]
    kind, size = re.fullmatch(r"kin_([a-z]+)(\d+)", name).groups()
    return KIN(kernel=int(size), kernel_type=kind)


def cases():
    for file in FILES:
        path = SHARED / "golden" / f"{file}.npz"
        names = np.load(path).files if path.is_file() else []
        yield from ((file, name) for name in names if re.match(r"out_.*_p\d+$", name))


@needs_shared
@pytest.mark.parametrize(("file", "name"), list(cases()))
def test_float_output_matches_the_public_code(file, name):
    arrays = np.load(SHARED / "golden" / f"{file}.npz")
    checkpoint, cell = FILES[file]
    resized, method, padding = re.fullmatch(r"out_(resized_)?(.+)_p(\d+)", name).groups()
    result = translate_array(
        arrays["resized_u8" if resized else "input_u8"],
        load_generator(SHARED / "golden" / f"{checkpoint}.pth").module,
        normalizer_named(method),
        cell=cell,
        halo=int(padding),
        mirrored=True,
        thumbnail=arrays["thumb_u8"],
        floats=True,
    )
    assert np.abs(result.transpose(2, 0, 1) - arrays[name]).max() < TOLERANCE


@needs_shared
def test_every_golden_output_is_compared():
    assert len(list(cases())) == 31
