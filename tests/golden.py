"""What the methods' public code made of known inputs: the outputs, and what each was made with.

The arrays themselves are in the shared folder's `golden/`.
"""

_NORMS = ("in_p0", "tin_p0", "kin_constant3_p0", "dn_p16")
_PADDINGS = tuple(
    f"{norm}_p{padding}" for norm in ("in", "tin", "kin_constant3", "dn") for padding in (0, 16)
)
# Checkpoint, side of a cell, outputs, by the file that has them.
OUTPUTS = {
    "main_P64": (
        "gen_kaminyou",
        64,
        (*_NORMS, "kin_constant5_p0", "kin_gaussian3_p0", "kin_gaussian5_p0"),
    ),
    "small_P32": ("gen_kaminyou", 32, _PADDINGS),
    "small_P32_affine": ("gen_kaminyou_affine", 32, _PADDINGS),
    "cut_antialias_P64": ("gen_cut_antialias", 64, _NORMS),
    "nonmultiple_P64": ("gen_kaminyou", 64, tuple(f"resized_{norm}" for norm in _NORMS)),
}


def cases(*files):
    """Pairs of a file and the name of one of its outputs, as arguments of a test."""
    return [(file, f"out_{name}") for file in files or OUTPUTS for name in OUTPUTS[file][2]]
