"""The non-rigid step by SimpleITK: B-splines under Mattes' mutual information.

Rueckert et al. 1999 (free-form deformation), Mattes et al. 2003 (the measure).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.errors import require
from uhrtranslate.registration.field import NODES, compared, node_places
from uhrtranslate.registration.looks import Picture

# Px between the nodes of the spline's last and finest mesh.
MESH = 64
BINS, ITERATIONS, SAMPLING, SEED = 32, 60, 0.5, 1
# Shrinking and smoothing (px) of the pictures, from coarse to fine; the mesh doubles each time.
SHRINK, SMOOTH = (4, 2, 1), (2.0, 1.0, 0.5)


def simpleitk() -> Any:
    """The module SimpleITK.

    Raises:
        MissingExtraError: it is not installed.
    """
    return require("SimpleITK", "register")


def bspline_displacement(
    fixed: Picture, moving: Picture, tissue: NDArray[np.bool_], inside: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Where points of a picture are in another one, relative to their own place.

    Args:
        fixed, moving: pictures of one size, [h, w] float32.
        tissue: [h, w], of the fixed picture.
        inside: [h, w], what the moving picture covers; both are compared in tissue there.

    Returns: [rows, cols, 2], displacement in px in x and y at every `NODES`-th px, beginning with
        the first; zeros if there is nothing to compare.

    Raises:
        MissingExtraError: SimpleITK is not installed.
    """
    sitk = simpleitk()
    h, w = fixed.shape
    xs, ys = node_places(h, w)
    nothing = np.zeros((len(ys), len(xs), 2), np.float32)
    mask = compared(tissue, inside)
    if mask is None:
        return nothing
    one, other = (sitk.GetImageFromArray(np.ascontiguousarray(p)) for p in (fixed, moving))
    method = sitk.ImageRegistrationMethod()
    method.SetGlobalDefaultNumberOfThreads(1)  # so that every machine gives the same
    method.SetNumberOfThreads(1)
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(SAMPLING, SEED)
    method.SetMetricFixedMask(sitk.GetImageFromArray(mask.astype(np.uint8)))
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsLBFGS2(solutionAccuracy=1e-4, numberOfIterations=ITERATIONS)
    method.SetShrinkFactorsPerLevel(SHRINK)
    method.SetSmoothingSigmasPerLevel(SMOOTH)
    steps = 2 ** (len(SHRINK) - 1)
    first = [max(round(side / (MESH * steps)), 1) for side in (w, h)]
    spline = sitk.BSplineTransformInitializer(one, first, 3)
    method.SetInitialTransformAsBSpline(spline, True, [2**i for i in range(len(SHRINK))])
    try:
        found = method.Execute(one, other)
    except RuntimeError:  # the pictures have no pixels in common
        return nothing
    field = sitk.TransformToDisplacementFieldFilter()
    field.SetReferenceImage(one)
    field.SetSize([len(xs), len(ys)])
    field.SetOutputSpacing([float(NODES)] * 2)
    values = sitk.GetArrayFromImage(field.Execute(found)).astype(np.float32)
    # Beyond its domain a spline is zero; the last nodes inside go on instead.
    inside_x, inside_y = np.minimum(xs, w - 1) // NODES, np.minimum(ys, h - 1) // NODES
    return np.asarray(values[np.ix_(inside_y, inside_x)], np.float32)
