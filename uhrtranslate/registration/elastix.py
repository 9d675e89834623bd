"""The non-rigid step by elastix: B-splines under mutual information and bending energy.

Klein, Staring, Murphy, Viergever and Pluim 2010 (elastix); Klein, Pluim, Staring and Viergever 2009
(the optimizer); Rueckert et al. 1999 (B-splines and their bending energy).
"""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from uhrtranslate.errors import MissingExtraError
from uhrtranslate.registration.field import compared, node_places
from uhrtranslate.registration.looks import Picture

# Of elastix: px between the nodes of the finest mesh, steps at each of so many resolutions, px
# drawn for each step.
SETTINGS = {
    "Transform": ["BSplineTransform"],
    "FinalGridSpacingInPhysicalUnits": ["48"],
    "NumberOfResolutions": ["4"],
    "MaximumNumberOfIterations": ["250"],
    "NumberOfSpatialSamples": ["4096"],
    "RandomSeed": ["1"],
    "ErodeMask": ["false"],
    "ErodeFixedMask": ["false"],
    "WriteResultImage": ["false"],
}
Mask = NDArray[np.bool_]
Found = dict[str, tuple[str, ...]]


def elastix_is_there() -> bool:
    """Whether elastix is installed: in SimpleITK (some builds have it), or as itk-elastix."""
    return _has("SimpleITK", "ElastixImageFilter") or _has("itk", "elastix_registration_method")


def require_elastix() -> None:
    """Nothing, if elastix is installed.

    Raises:
        MissingExtraError: it is not.
    """
    if not elastix_is_there():
        raise MissingExtraError(
            "elastix is not installed; run: pip install 'uhrtranslate[elastix]', or choose "
            "--engine convex."
        )


def elastix_displacement(
    fixed: Picture, moving: Picture, tissue: Mask, inside: Mask
) -> NDArray[np.float32]:
    """Where points of a picture are in another one, relative to their own place.

    Args:
        fixed, moving: pictures of one size, [h, w] float32.
        tissue: [h, w], of the fixed picture.
        inside: [h, w], what the moving picture covers; both are compared in tissue there.

    Returns: [rows, cols, 2], displacement in px in x and y at every `NODES`-th px, beginning with
        the first; zeros if there is nothing to compare.

    Raises:
        MissingExtraError: elastix is not installed.
    """
    require_elastix()
    h, w = fixed.shape
    xs, ys = node_places(h, w)
    nothing = np.zeros((len(ys), len(xs), 2), np.float32)
    mask = compared(tissue, inside)
    if mask is None:
        return nothing
    run = _by_simpleitk if _has("SimpleITK", "ElastixImageFilter") else _by_itk
    try:
        found = run(fixed, moving, mask.astype(np.uint8))
    except RuntimeError:  # too few samples lie inside of both
        return nothing
    return _at_nodes(found, np.minimum(xs, w - 1), np.minimum(ys, h - 1))


def _has(module: str, name: str) -> bool:
    try:
        return hasattr(importlib.import_module(module), name)
    except ModuleNotFoundError:
        return False


def _by_simpleitk(fixed: Picture, moving: Picture, mask: NDArray[np.uint8]) -> Found:
    sitk: Any = importlib.import_module("SimpleITK")
    method = sitk.ElastixImageFilter()
    method.LogToConsoleOff()
    method.LogToFileOff()
    method.SetNumberOfThreads(1)  # so that every machine gives the same
    method.SetFixedImage(sitk.GetImageFromArray(np.ascontiguousarray(fixed)))
    method.SetMovingImage(sitk.GetImageFromArray(np.ascontiguousarray(moving)))
    method.SetFixedMask(sitk.GetImageFromArray(mask))
    settings = sitk.GetDefaultParameterMap("bspline")
    for name, values in SETTINGS.items():
        settings[name] = values
    method.SetParameterMap(settings)
    # It writes what it finds into a folder as well, and says so where results belong.
    with TemporaryDirectory() as folder, _stdout_as_stderr():
        method.SetOutputDirectory(folder)
        method.Execute()
    return dict(method.GetTransformParameterMap()[0].items())


@contextmanager
def _stdout_as_stderr() -> Iterator[None]:
    """What compiled code prints goes to stderr meanwhile."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _by_itk(fixed: Picture, moving: Picture, mask: NDArray[np.uint8]) -> Found:
    itk: Any = importlib.import_module("itk")
    settings = itk.ParameterObject.New()
    values = dict(settings.GetDefaultParameterMap("bspline").items())
    settings.AddParameterMap({**values, **SETTINGS})
    images = (itk.image_view_from_array(np.ascontiguousarray(one)) for one in (fixed, moving))
    _, found = itk.elastix_registration_method(
        *images, parameter_object=settings, fixed_mask=itk.image_view_from_array(mask),
        number_of_threads=1, log_to_console=False,
    )  # fmt: skip
    return dict(found.GetParameterMap(0).items())


def _at_nodes(found: Found, xs: NDArray[np.intp], ys: NDArray[np.intp]) -> NDArray[np.float32]:
    """The displacement of a spline at columns and rows, from its coefficients."""
    cols, rows = (int(value) for value in found["GridSize"])
    origin = [float(value) for value in found["GridOrigin"]]
    spacing = [float(value) for value in found["GridSpacing"]]
    planes = np.array(found["TransformParameters"], np.float64).reshape(2, rows, cols)
    at = np.meshgrid((ys - origin[1]) / spacing[1], (xs - origin[0]) / spacing[0], indexing="ij")
    values = [
        map_coordinates(plane, at, order=3, prefilter=False, mode="grid-constant")
        for plane in planes
    ]
    return np.stack(values, axis=-1).astype(np.float32)
