"""LPIPS is that of a plain computation in numpy, on random weights of the public layouts."""

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import skimage.data
import torch

from uhrtranslate.errors import CheckpointError
from uhrtranslate.extractors import Lpips

# (key, outputs, inputs, kernel, stride, padding), and "max" with its size.
LAYOUTS = {
    "alex": [
        (0, 64, 3, 11, 4, 2), ("max", 3),
        (3, 192, 64, 5, 1, 2), ("max", 3),
        (6, 384, 192, 3, 1, 1),
        (8, 256, 384, 3, 1, 1),
        (10, 256, 256, 3, 1, 1),
    ],
    "vgg": [
        (0, 64, 3, 3, 1, 1), (2, 64, 64, 3, 1, 1), ("max", 2),
        (5, 128, 64, 3, 1, 1), (7, 128, 128, 3, 1, 1), ("max", 2),
        (10, 256, 128, 3, 1, 1), (12, 256, 256, 3, 1, 1), (14, 256, 256, 3, 1, 1), ("max", 2),
        (17, 512, 256, 3, 1, 1), (19, 512, 512, 3, 1, 1), (21, 512, 512, 3, 1, 1), ("max", 2),
        (24, 512, 512, 3, 1, 1), (26, 512, 512, 3, 1, 1), (28, 512, 512, 3, 1, 1),
    ],
}  # fmt: skip
TAPS = {"alex": (0, 3, 6, 8, 10), "vgg": (2, 7, 14, 21, 28)}


def random_weights(kind, folder):
    """Random weights of the backbone, of the heads, and the files of both."""
    random = torch.Generator().manual_seed(0)
    state, heads = {}, {}
    for layer in LAYOUTS[kind]:
        if layer[0] == "max":
            continue
        key, outputs, inputs, kernel = layer[:4]
        scale = (2 / (inputs * kernel**2)) ** 0.5
        state[f"features.{key}.weight"] = scale * torch.randn(
            outputs, inputs, kernel, kernel, generator=random
        )
        state[f"features.{key}.bias"] = 0.1 * torch.randn(outputs, generator=random)
        if key in TAPS[kind]:
            heads[f"lin{len(heads)}.model.1.weight"] = torch.rand(
                1, outputs, 1, 1, generator=random
            )
    torch.save(state | {"classifier.6.weight": torch.zeros(10, 4)}, folder / "backbone.pth")
    torch.save(heads, folder / "heads.pth")
    return state, heads, folder / "backbone.pth", folder / "heads.pth"


@pytest.fixture(scope="module", params=["alex", "vgg"])
def case(request, tmp_path_factory):
    """Kind, weights of the backbone, of the heads, and the files of both."""
    return request.param, *random_weights(request.param, tmp_path_factory.mktemp(request.param))


def convolved(x, weight, bias, stride, padding):
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    kernel = weight.shape[-1]
    windows = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), axis=(1, 2))
    windows = windows[:, ::stride, ::stride]  # [c, h, w, k, k]
    h, w = windows.shape[1:3]
    columns = windows.transpose(1, 2, 0, 3, 4).reshape(h * w, -1)
    return (columns @ weight.reshape(len(weight), -1).T + bias).T.reshape(-1, h, w)


def plainly(kind, state, heads, a, b):
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    pair = [((p / 127.5 - 1 - shift) / scale).transpose(2, 0, 1) for p in (a, b)]
    total, tap = 0.0, 0
    for layer in LAYOUTS[kind]:
        if layer[0] == "max":
            size = layer[1]
            pair = [
                np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))[
                    :, ::2, ::2
                ].max((3, 4))
                for x in pair
            ]
            continue
        key, _, _, _, stride, padding = layer
        weight, bias = (state[f"features.{key}.{n}"].double().numpy() for n in ("weight", "bias"))
        pair = [np.maximum(convolved(x, weight, bias, stride, padding), 0) for x in pair]
        if key in TAPS[kind]:
            x, y = (p / np.sqrt((p**2).sum(0)) for p in pair)
            head = heads[f"lin{tap}.model.1.weight"].double().numpy().ravel()
            total += np.einsum("c,chw->hw", head, (x - y) ** 2).mean()
            tap += 1
    return total


def picture(side=64):
    a = skimage.data.immunohistochemistry()[:side, :side]
    return a, skimage.data.immunohistochemistry()[200 : 200 + side, 200 : 200 + side]


def test_it_is_the_plain_computation(case):
    kind, state, heads, *files = case
    a, b = picture()
    wanted = plainly(kind, state, heads, a, b)
    assert wanted > 0.1
    assert Lpips(*files).distance(a[None], b[None]) == [pytest.approx(wanted, rel=1e-4)]


def test_it_has_the_properties_of_a_distance(case):
    lpips = Lpips(*case[3:])
    a, b = picture()
    blurred = [scipy.ndimage.gaussian_filter(a, (s, s, 0)) for s in (0.5, 1, 3)]
    found = lpips.distance(np.stack([a] * 3), np.stack(blurred))
    assert found == sorted(found)
    assert lpips.distance(a[None], a[None]) == [0]
    assert lpips.distance(a[None], b[None]) == pytest.approx(lpips.distance(b[None], a[None]))
    assert lpips.distance(a[None][:0], a[None][:0]) == []


def test_content_is_compared_in_grey(case):
    """LPIPS-c does not see another colour of equal grey, and sees another structure."""
    lpips = Lpips(*case[3:])
    a, b = picture()
    luma = np.rint(a @ np.array([0.299, 0.587, 0.114]))
    grey = np.repeat(luma[..., None], 3, axis=2).astype(np.uint8)
    assert lpips.content_distance(a[None], grey[None]) == [0]
    assert lpips.distance(a[None], grey[None])[0] > 0.001
    found = lpips.content_distance(a[None], b[None])
    luma_b = np.rint(b @ np.array([0.299, 0.587, 0.114]))
    grey_b = np.repeat(luma_b[..., None], 3, axis=2).astype(np.uint8)
    assert found == pytest.approx(lpips.distance(grey[None], grey_b[None]))


def test_its_name_says_which_weights(case):
    name = Lpips(*case[3:]).name
    assert name.startswith(f"lpips-{case[0]}-")
    assert len(name.split("-")) == 4


def test_files_that_do_not_fit_are_refused(case, tmp_path):
    kind, state, heads, backbone, head_file = case
    with pytest.raises(CheckpointError, match="neither an AlexNet nor a VGG16"):
        Lpips(head_file, head_file)
    with pytest.raises(CheckpointError, match=f"LPIPS heads for {kind}: 5 missing: lin0"):
        Lpips(backbone, backbone)
    cut = {k: v for k, v in heads.items() if not k.startswith("lin3")}
    torch.save(cut, tmp_path / "heads.pth")
    with pytest.raises(CheckpointError, match=r"1 missing: lin3\.model\.1\.weight$"):
        Lpips(backbone, tmp_path / "heads.pth")
    wide = {k: torch.zeros(1, 7, 1, 1) for k in heads}
    torch.save(wide, tmp_path / "heads.pth")
    with pytest.raises(CheckpointError, match="5 of another shape: lin0"):
        Lpips(backbone, tmp_path / "heads.pth")
    torch.save({k: v for k, v in state.items() if "10" not in k}, tmp_path / "b.pth")
    with pytest.raises(CheckpointError, match=f"LPIPS backbone {kind}: . missing: 10"):
        Lpips(tmp_path / "b.pth", head_file)


def test_pairs_that_do_not_fit_are_refused(case):
    lpips = Lpips(*case[3:])
    a, b = picture()
    with pytest.raises(ValueError, match="pairs of"):
        lpips.distance(a[None], b[None, 1:])
    with pytest.raises(ValueError, match="pairs of"):
        lpips.distance(a[None, :15], b[None, :15])
    smallest = 31 if case[0] == "alex" else 16
    assert lpips.distance(a[None, :smallest, :smallest], b[None, :smallest, :smallest])[0] > 0
