"""InceptionV3 has the keys, the sizes and the arithmetic of the public files."""

import hashlib

import numpy as np
import pytest
import skimage.data
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from uhrtranslate.errors import CheckpointError
from uhrtranslate.extractors import InceptionExtractor
from uhrtranslate.extractors.inception import InceptionV3

PATCHES = np.stack([skimage.data.immunohistochemistry()[i : i + 80, :90] for i in (0, 100, 200)])


def weights(classes, seed=0):
    """Random weights under which a signal neither dies nor grows, with uneven statistics."""
    torch.manual_seed(seed)
    state = InceptionV3(classes).state_dict()
    for key, value in state.items():
        if key.endswith("conv.weight"):
            value.normal_(0, (2 / value[0].numel()) ** 0.5)
        elif key.endswith("running_mean"):
            value.normal_(0, 0.1)
        elif key.endswith("running_var"):
            value.uniform_(0.5, 1.5)
    return state


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inception")
    found = {}
    for classes in (1008, 1000):
        state = weights(classes)
        if classes == 1000:  # torchvision's file has a second classifier
            state["AuxLogits.fc.weight"] = torch.zeros(1000, 768)
        else:  # and files of old versions have no counters
            state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
        found[classes] = folder / f"{classes}.pth"
        torch.save(state, found[classes])
    return found


def test_it_has_as_many_weights_as_the_published_network():
    # torchvision states 27,161,264 with the second classifier, which has 3,326,696.
    assert sum(p.numel() for p in InceptionV3(1000).parameters()) == 27_161_264 - 3_326_696
    # 94 convolutions with five tensors of batch norm each but the counter, and the classifier.
    keys = [k for k in InceptionV3(1008).state_dict() if not k.endswith("num_batches_tracked")]
    assert len(keys) == 94 * 5 + 2


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("Conv2d_1a_3x3.conv.weight", (32, 3, 3, 3)),
        ("Mixed_5b.branch_pool.conv.weight", (32, 192, 1, 1)),
        ("Mixed_6a.branch3x3.conv.weight", (384, 288, 3, 3)),
        ("Mixed_6c.branch7x7dbl_2.conv.weight", (160, 160, 7, 1)),
        ("Mixed_6e.branch7x7_2.conv.weight", (192, 192, 1, 7)),
        ("Mixed_7a.branch7x7x3_4.bn.running_var", (192,)),
        ("Mixed_7c.branch3x3dbl_3b.conv.weight", (384, 384, 3, 1)),
        ("fc.weight", (1008, 2048)),
    ],
)
def test_keys_have_the_published_shapes(key, shape):
    assert InceptionV3(1008).state_dict()[key].shape == shape


def plainly(state, x, original):
    """The network as one reads it off the paper's figures, without modules."""

    def conv(x, name, stride=1, padding=0):
        x = F.conv2d(x, state[f"{name}.conv.weight"], None, stride, padding)
        mean, var, scale, shift = (
            state[f"{name}.bn.{k}"][:, None, None]
            for k in ("running_mean", "running_var", "weight", "bias")
        )
        return ((x - mean) / (var + 0.001).sqrt() * scale + shift).relu()

    def mean(x):
        summed = F.avg_pool2d(x, 3, 1, 1, divisor_override=1)
        ones = F.avg_pool2d(torch.ones_like(x), 3, 1, 1, divisor_override=1)
        return summed / (ones if original else 9)

    x = conv(x, "Conv2d_1a_3x3", 2)
    x = conv(conv(x, "Conv2d_2a_3x3"), "Conv2d_2b_3x3", 1, 1)
    x = F.max_pool2d(x, 3, 2)
    x = F.max_pool2d(conv(conv(x, "Conv2d_3b_1x1"), "Conv2d_4a_3x3"), 3, 2)
    for m in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
        five = conv(conv(x, f"{m}.branch5x5_1"), f"{m}.branch5x5_2", 1, 2)
        three = conv(conv(x, f"{m}.branch3x3dbl_1"), f"{m}.branch3x3dbl_2", 1, 1)
        three = conv(three, f"{m}.branch3x3dbl_3", 1, 1)
        pool = conv(mean(x), f"{m}.branch_pool")
        x = torch.cat([conv(x, f"{m}.branch1x1"), five, three, pool], 1)
    m = "Mixed_6a"
    three = conv(conv(x, f"{m}.branch3x3dbl_1"), f"{m}.branch3x3dbl_2", 1, 1)
    x = torch.cat(
        [
            conv(x, f"{m}.branch3x3", 2),
            conv(three, f"{m}.branch3x3dbl_3", 2),
            F.max_pool2d(x, 3, 2),
        ],
        1,
    )
    wide, tall = (0, 3), (3, 0)
    for m in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
        seven = conv(conv(x, f"{m}.branch7x7_1"), f"{m}.branch7x7_2", 1, wide)
        seven = conv(seven, f"{m}.branch7x7_3", 1, tall)
        twice = conv(x, f"{m}.branch7x7dbl_1")
        for i, padding in zip(range(2, 6), (tall, wide, tall, wide), strict=True):
            twice = conv(twice, f"{m}.branch7x7dbl_{i}", 1, padding)
        pool = conv(mean(x), f"{m}.branch_pool")
        x = torch.cat([conv(x, f"{m}.branch1x1"), seven, twice, pool], 1)
    m = "Mixed_7a"
    seven = conv(conv(x, f"{m}.branch7x7x3_1"), f"{m}.branch7x7x3_2", 1, wide)
    seven = conv(conv(seven, f"{m}.branch7x7x3_3", 1, tall), f"{m}.branch7x7x3_4", 2)
    three = conv(conv(x, f"{m}.branch3x3_1"), f"{m}.branch3x3_2", 2)
    x = torch.cat([three, seven, F.max_pool2d(x, 3, 2)], 1)
    for m in ("Mixed_7b", "Mixed_7c"):
        three = conv(x, f"{m}.branch3x3_1")
        twice = conv(conv(x, f"{m}.branch3x3dbl_1"), f"{m}.branch3x3dbl_2", 1, 1)
        last = F.max_pool2d(x, 3, 1, 1) if original and m == "Mixed_7c" else mean(x)
        parts = [conv(x, f"{m}.branch1x1")]
        for y, name in ((three, "branch3x3_2"), (twice, "branch3x3dbl_3")):
            parts += [
                conv(y, f"{m}.{name}a", 1, (0, 1)),
                conv(y, f"{m}.{name}b", 1, (1, 0)),
            ]
        x = torch.cat([*parts, conv(last, f"{m}.branch_pool")], 1)
    return x.mean((2, 3))


@pytest.mark.parametrize("classes", [1008, 1000])
def test_it_computes_what_the_figures_of_the_paper_say(files, classes):
    x = torch.from_numpy(PATCHES[:1].copy()).permute(0, 3, 1, 2).float() / 127.5 - 1
    x = F.interpolate(x, (299, 299), mode="bilinear")
    wanted = plainly(weights(classes), x, classes == 1008).numpy()
    found = InceptionExtractor(files[classes]).features(PATCHES[:1])
    assert found == pytest.approx(wanted, rel=1e-3, abs=1e-4)
    assert wanted.std() > 0.01


def test_the_two_networks_have_other_names_and_other_features(files):
    fid, other = InceptionExtractor(files[1008]), InceptionExtractor(files[1000])
    letters = hashlib.sha256(files[1008].read_bytes()).hexdigest()[:8]
    assert fid.name == f"inception-2015-12-05-{letters}"
    assert other.name.startswith("inception-torchvision-")
    a, b = fid.features(PATCHES), other.features(PATCHES)
    assert a.shape == b.shape == (3, fid.size)
    assert a.dtype == np.float32
    assert np.abs(a - b).max() > 1e-3
    assert fid.features(PATCHES[:0]).shape == (0, fid.size)
    assert fid.features(PATCHES[1:2])[0] == pytest.approx(a[1], rel=1e-3, abs=1e-4)


def test_safetensors_do_as_well(files, tmp_path):
    save_file(weights(1008), tmp_path / "w.safetensors")
    found = InceptionExtractor(tmp_path / "w.safetensors").features(PATCHES[:1])
    assert (found == InceptionExtractor(files[1008]).features(PATCHES[:1])).all()


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit(77)",))


def one_less(state):
    state.pop("Mixed_6b.branch1x1.bn.bias")
    return state


def other_shape(state):
    state["Mixed_6b.branch1x1.bn.bias"] = torch.zeros(3)
    return state


def not_finite(state):
    state["Mixed_6b.branch1x1.bn.bias"][3] = float("nan")
    return state


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: one_less(weights(1008)), "1 missing: Mixed_6b.branch1x1.bn.bias"),
        (lambda: other_shape(weights(1008)), "1 of another shape: Mixed_6b.branch1x1.bn.bias"),
        (lambda: not_finite(weights(1008)), "not finite"),
        (lambda: weights(1008) | {"more.weight": torch.zeros(1)}, "1 not expected: more.weight"),
        (lambda: {"model.1.weight": torch.zeros(4)}, "no InceptionV3 of 1008"),
        (lambda: {"a": 3}, "more than tensors"),
        (lambda: [1, 2], "no state dict"),
        (lambda: {"a": Evil()}, "which could run code"),
    ],
)
def test_files_of_something_else_are_refused(tmp_path, content, message):
    path = tmp_path / "w.pth"
    torch.save(content(), path)
    with pytest.raises(CheckpointError, match=message) as caught:
        InceptionExtractor(path)
    assert str(path) in str(caught.value)


def test_no_file_and_no_weights_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        InceptionExtractor(tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match="no such file"):
        InceptionExtractor(tmp_path / "none.safetensors")
    for name in ("junk.pth", "junk.safetensors"):
        (tmp_path / name).write_bytes(b"junk" * 100)
        with pytest.raises(CheckpointError, match=r"not a checkpoint|damaged"):
            InceptionExtractor(tmp_path / name)
