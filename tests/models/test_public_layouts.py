"""Networks with the layouts of public programs, built from their description, load and agree."""

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.data import immunohistochemistry
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from uhrtranslate.engine import forget_running_statistics
from uhrtranslate.errors import CheckpointError
from uhrtranslate.models.checkpoint import load_checkpoint
from uhrtranslate.models.resnet import BlurDown, BlurUp
from uhrtranslate.models.unet import UnetGenerator

NGF = 4


class Residual(nn.Module):
    """x + its layers, which are stored under a name of the program's own."""

    def __init__(self, name: str, *layers: nn.Module) -> None:
        super().__init__()
        self.name = name
        self.add_module(name, nn.Sequential(*layers))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.get_submodule(self.name)(x)


class Model(nn.Module):
    """One sequence, stored as `model`, as all descendants of CycleGAN's code have it."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


def asp() -> nn.Module:
    """6 blocks, blurred resampling, instance norm; every convolution has spectral norm."""

    def conv(a: int, b: int, side: int, padding: int = 0) -> list[nn.Module]:
        return [spectral_norm(nn.Conv2d(a, b, side, padding=padding))]

    def act(c: int) -> list[nn.Module]:
        return [nn.InstanceNorm2d(c), nn.ReLU()]

    def half(c: int) -> list[nn.Module]:
        return [nn.ReflectionPad2d(1), *conv(c, c, 3), nn.InstanceNorm2d(c)]

    wide = 4 * NGF
    layers = [nn.ReflectionPad2d(3), *conv(3, NGF, 7), *act(NGF)]
    for c in (NGF, 2 * NGF):
        layers += [*conv(c, 2 * c, 3, 1), *act(2 * c), BlurDown(2 * c)]
    layers += [Residual("conv_block", *half(wide), nn.ReLU(), *half(wide)) for _ in range(6)]
    for c in (wide, wide // 2):
        layers += [BlurUp(c), *conv(c, c // 2, 3, 1), *act(c // 2)]
    return Model(*layers, nn.ReflectionPad2d(3), *conv(NGF, 3, 7), nn.Tanh())


def deepliif() -> nn.Module:
    """9 blocks with dropout, zeros around, batch norm after convolutions without bias."""

    def act(c: int) -> list[nn.Module]:
        return [nn.BatchNorm2d(c), nn.ReLU()]

    def conv(c: int) -> nn.Module:
        return nn.Conv2d(c, c, 3, padding=1, bias=False)

    wide = 4 * NGF
    layers = [nn.ZeroPad2d(3), nn.Conv2d(3, NGF, 7, bias=False), *act(NGF)]
    for c in (NGF, 2 * NGF):
        layers += [nn.Conv2d(c, 2 * c, 3, 2, 1, bias=False), *act(2 * c)]
    for _ in range(9):
        inside = [conv(wide), *act(wide), nn.Dropout(0.5), conv(wide), nn.BatchNorm2d(wide)]
        layers.append(Residual("conv_block", *inside))
    for c in (wide, wide // 2):
        up = nn.ConvTranspose2d(c, c // 2, 3, 2, 1, output_padding=1, bias=False)
        layers += [up, *act(c // 2)]
    return Model(*layers, nn.ZeroPad2d(3), nn.Conv2d(NGF, 3, 7), nn.Tanh())


class Resampling(nn.Module):
    """A block of VirtualMultiplexer's generator; its norm is called `norm` and has no weights."""

    def __init__(self, a: int, b: int, up: bool) -> None:
        super().__init__()
        if up:
            self.upsample = nn.ConvTranspose2d(a, b, 3, 2, 1, output_padding=1)
        else:
            self.conv = nn.Conv2d(a, b, 3, 2, 1)
        self.norm = nn.InstanceNorm2d(b)

    def forward(self, x: Tensor) -> Tensor:
        x = self.upsample(x) if hasattr(self, "upsample") else self.conv(x)
        return torch.relu(self.norm(x))


class VirtualMultiplexer(nn.Module):
    """Strided resampling, as its sample configuration asks for."""

    def __init__(self) -> None:
        super().__init__()
        wide = 4 * NGF

        def half() -> list[nn.Module]:
            return [nn.ReflectionPad2d(1), nn.Conv2d(wide, wide, 3), nn.InstanceNorm2d(wide)]

        self.reflectionpad = nn.ReflectionPad2d(3)
        self.block1 = nn.Sequential(nn.Conv2d(3, NGF, 7), nn.InstanceNorm2d(NGF), nn.ReLU())
        self.downsampleblock2 = Resampling(NGF, 2 * NGF, False)
        self.downsampleblock3 = Resampling(2 * NGF, wide, False)
        blocks = [Residual("model", *half(), nn.ReLU(), *half()) for _ in range(9)]
        self.resnetblocks4 = nn.Sequential(*blocks)
        self.upsampleblock5 = Resampling(wide, 2 * NGF, True)
        self.upsampleblock6 = Resampling(2 * NGF, NGF, True)
        self.block7 = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(NGF, 3, 7), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        x = self.downsampleblock3(self.downsampleblock2(self.block1(self.reflectionpad(x))))
        x = self.upsampleblock6(self.upsampleblock5(self.resnetblocks4(x)))
        return self.block7(x)


class AttentionGate(nn.Module):
    """Attention gate: encoder maps times a sigmoid of what both halves say, all by 1x1."""

    def __init__(self, wide: int, narrow: int) -> None:
        super().__init__()
        self.W_g = nn.Sequential(nn.Conv2d(wide, narrow, 1), nn.BatchNorm2d(narrow))
        self.W_x = nn.Sequential(nn.Conv2d(wide, narrow, 1), nn.BatchNorm2d(narrow))
        self.psi = nn.Sequential(nn.Conv2d(narrow, 1, 1), nn.BatchNorm2d(1), nn.Sigmoid())

    def forward(self, g: Tensor, x: Tensor) -> Tensor:
        return x * self.psi(torch.relu(self.W_g(g) + self.W_x(x)))


class DeepLIIFAttention(nn.Module):
    """DeepLIIF's attention U-Net: eight halvings of 4x4, biases on the way down only."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [NGF, 2 * NGF, 4 * NGF, *[8 * NGF] * 5]

        def stage(name: str, *layers: nn.Module) -> nn.Module:
            module = nn.Module()
            module.add_module(name, nn.Sequential(*layers))
            return module

        halve = partial(nn.Conv2d, kernel_size=4, stride=2, padding=1)
        double = partial(nn.ConvTranspose2d, kernel_size=4, stride=2, padding=1)
        self.Conv1 = stage("conv", halve(3, NGF), nn.LeakyReLU(0.2))
        for n in range(2, 8):
            a, b = sizes[n - 2 : n]
            layers = halve(a, b), nn.BatchNorm2d(b), nn.LeakyReLU(0.2)
            self.add_module(f"Conv{n}", stage("conv", *layers))
        self.Conv8 = stage("conv", halve(8 * NGF, 8 * NGF), nn.ReLU())
        for n in range(8, 1, -1):
            a, b = sizes[n - 1], sizes[n - 2]
            convolution = double(a if n == 8 else 2 * a, b, bias=False)
            self.add_module(f"Up{n}", stage("up", convolution, nn.BatchNorm2d(b), nn.ReLU()))
            self.add_module(f"Att{n}", AttentionGate(b, b if n > 4 else b // 2))
        self.Up1 = stage("up", double(2 * NGF, 3), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        kept = {}
        for n in range(1, 9):
            kept[n] = x = getattr(self, f"Conv{n}").conv(x)
        for n in range(8, 1, -1):
            x = getattr(self, f"Up{n}").up(x)
            x = torch.cat((getattr(self, f"Att{n}")(x, kept[n - 1]), x), 1)
        return self.Up1.up(x)


class Convolved(nn.Module):
    """HistoPlexer's block: reflection, 3x3, and batch norm with leaky ReLU (or ReLU alone)."""

    def __init__(self, a: int, b: int, stride: int, norm: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(a, b, 3, stride, 1, padding_mode="reflect")
        if norm:
            self.bn1 = nn.Module()
            self.bn1.bn = nn.BatchNorm2d(b)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        return nn.LeakyReLU(0.2)(self.bn1.bn(x)) if hasattr(self, "bn1") else torch.relu(x)


class HistoPlexer(nn.Module):
    """Depth 6, a quarter of the input's resolution, three outputs, as its sample configuration."""

    def __init__(self, planes: int = 11) -> None:
        super().__init__()
        c = 2 * NGF
        # At the levels 2, 4 and 6 the scaled image comes in, too.
        down = [(3, c // 4), (c // 4, c // 2), (c // 2 + 3, c), (c, 2 * c), (2 * c + 3, 4 * c)]
        down += [(4 * c, 8 * c), (8 * c + 3, 8 * c)]
        self.encoder = nn.ModuleList(Convolved(a, b, 2) for a, b in down)
        self.center_block = nn.ModuleList(Convolved(8 * c, 8 * c, stride) for stride in (2, 1))
        up = [(16 * c, 8 * c), (16 * c, 4 * c), (8 * c, 2 * c), (4 * c, c)]
        self.decoder = nn.ModuleList(Convolved(a, b, 1) for a, b in up)
        self.decoder.append(Convolved(2 * c, planes, 1, norm=False))
        self.to_imc = nn.ModuleList(Convolved(a, planes, 1, norm=False) for a in (16 * c, 8 * c))

    def forward(self, x: Tensor) -> list[Tensor]:
        twice = nn.Upsample(scale_factor=2, mode="nearest")
        image, kept, results = x, [], []
        for level, block in enumerate(self.encoder):
            if level in (2, 4, 6):
                side = image.shape[-1] // 2**level
                x = torch.cat([x, F.interpolate(image, (side, side), mode="bilinear")], 1)
            kept.append(x := block(x))
        x = self.center_block[1](twice(self.center_block[0](x)))
        for level, block in enumerate(self.decoder):
            x = torch.cat([kept[-1 - level], x], 1)
            if level in (0, 2):
                results.append(self.to_imc[level // 2](twice(x)))
            x = block(twice(x))
        return [*results, x]


def trained(network, side=64, low=-1):
    """With running statistics, singular vectors and contrast."""
    torch.manual_seed(0)
    network.train()
    for _ in range(3):
        network(torch.rand(2, 3, side, side) * (1 - low) + low)
    return network.eval()


LAYOUTS = {
    "ASP, PSPStain": (asp, "resnet", {"n_blocks": 6, "antialias": True, "norm": "instance"}),
    "DeepLIIF": (deepliif, "resnet", {"n_blocks": 9, "padding": "zero", "norm": "batch"}),
    "VirtualMultiplexer": (VirtualMultiplexer, "kaminyou", {"n_blocks": 9, "antialias": False}),
    "DeepLIIF's U-Net": (lambda: UnetGenerator(ngf=2, n_downs=9), "unet", {"n_downs": 9}),
    "DeepLIIF's attention U-Net": (DeepLIIFAttention, "attention-unet", {"n_downs": 8}),
    "HEMIT's U-Net": (lambda: UnetGenerator(ngf=1, n_downs=10), "unet", {"n_downs": 10}),
}
SIDES = {"unet": 1024, "attention-unet": 256}


@pytest.mark.parametrize(("build", "family", "facts"), LAYOUTS.values(), ids=LAYOUTS)
def test_outputs_are_equal(build, family, facts, tmp_path):
    torch.manual_seed(1)
    network = build()
    side = SIDES.get(family, 64)
    network = network.eval() if family == "unet" else trained(network, side)
    torch.save(network.state_dict(), tmp_path / "latest_net_G.pth")
    loaded, info = load_checkpoint(tmp_path / "latest_net_G.pth")
    assert info.architecture == family
    assert {key: info.arguments[key] for key in facts} == facts
    x = torch.rand(1, 3, side, side) * 2 - 1
    with torch.inference_mode():
        want, y = network(x), loaded(x)
    assert want.std() > 1e-3
    assert torch.allclose(y, want, atol=1e-5)


def test_deepliif_as_its_own_code_runs_it(tmp_path):
    """Batch norms without statistics, and in eval mode, so that dropout does nothing."""
    network = trained(deepliif())
    torch.save(network.state_dict(), tmp_path / "latest_net_G1.pth")
    loaded, _ = load_checkpoint(tmp_path / "latest_net_G1.pth")
    x = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.inference_mode():
        running = loaded(x)
        layers = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        for layer in layers:
            layer.track_running_stats = False
            layer.running_mean = layer.running_var = None
        assert forget_running_statistics(loaded) == len(layers) == 23
        assert torch.allclose(loaded(x), network(x), atol=1e-5)
    assert not torch.allclose(running, network(x), atol=1e-3)


@pytest.fixture(scope="module")
def histoplexer(tmp_path_factory):
    """The network, and a checkpoint as its training saves it."""
    torch.manual_seed(1)
    network = trained(HistoPlexer(), 256, low=0)
    path = tmp_path_factory.mktemp("histoplexer") / "checkpoint-100000.pt"
    other = {key: tensor + 1 for key, tensor in network.state_dict().items()}
    torch.save(
        {"trans_state_dict": other, "trans_ema_state_dict": network.state_dict(), "step": 100},
        path,
    )
    return network, path


def test_histoplexer_repeats_its_pixels(histoplexer):
    network, path = histoplexer
    loaded, info = load_checkpoint(path)
    assert (info.architecture, info.stride, info.cell) == ("histoplexer", 256, 1024)
    assert (info.out_channels, info.value_range) == (11, (0, 1))
    assert "trans_ema_state_dict" in info.description
    assert info.arguments["multiscale"]
    assert info.arguments["high_res"]
    x = torch.rand(1, 3, 512, 512)
    with torch.inference_mode():
        want, y = network(x)[-1], loaded(x)
    assert want.std() > 1e-3
    assert torch.allclose(y, want.repeat_interleave(4, 2).repeat_interleave(4, 3), atol=1e-5)


@pytest.mark.slow
def test_histoplexer_translates_without_blending(histoplexer, tmp_path):
    """By its own code whole, and by uhrt in tiles; far from the ends, where both mirror alike."""
    from uhrtranslate.io import OutputSpec, open_slide, open_writer
    from uhrtranslate.tasks.translate import translate

    network, path = histoplexer
    section = np.tile(immunohistochemistry(), (3, 3, 1))[:1536, :1536]
    with open_writer(tmp_path / "a.tif", OutputSpec(1536, 1536, compression="deflate")) as writer:
        writer.write(0, 0, section)
    done = translate(tmp_path / "a.tif", tmp_path / "b.ome.zarr", model=str(path), tile=768)
    assert done.overlap is None
    with torch.inference_mode():
        x = torch.from_numpy(section).permute(2, 0, 1)[None].float() / 255
        want = network(x)[-1][0].permute(1, 2, 0).numpy() * 255
    with open_slide(tmp_path / "b.ome.zarr", channels=True) as slide:
        assert len(slide.info.channels) == 11
        found = slide.read(0, 0, 1536, 1536)[::4, ::4]
    inner = np.s_[128:-128, 128:-128]
    assert want[inner].std() > 1
    assert np.abs(found[inner] - want[inner].clip(0, 255)).max() <= 1


class TestWhatDoesNotLoad:
    """Networks of which a part is elsewhere: why, and what to do."""

    @staticmethod
    def refused(tmp_path, *keys):
        weights = {key: torch.zeros(4, 4, 3, 3) for key in keys}
        torch.save({"state_dict": weights}, tmp_path / "net.pth")
        with pytest.raises(CheckpointError) as caught:
            load_checkpoint(tmp_path / "net.pth")
        text = str(caught.value)
        assert "--model package.module:factory" in text
        return text

    def test_hemit(self, tmp_path):
        keys = ("initial_layers.1.weight", "swinT.layers.0.blocks.0.attn.qkv.weight")
        text = self.refused(tmp_path, *keys, "cross_atts.0.gate.0.weight")
        assert "holds a transformer (swinT.layers.0.blocks.0.attn.qkv.weight)" in text

    def test_miphei(self, tmp_path):
        keys = ("encoder.vit.blocks.0.attn.qkv.weight", "decoder.convstream.convs.0.conv.weight")
        text = self.refused(tmp_path, *keys)
        assert "holds a transformer (encoder.vit.blocks.0.attn.qkv.weight)" in text

    def test_mipheis_decoder_alone(self, tmp_path):
        keys = ("decoder.convstream.convs.0.conv.weight", "decoder.fusion_blks.0.conv.conv.weight")
        assert "only the decoder of MIPHEI" in self.refused(tmp_path, *keys)

    def test_a_unet_on_a_classifier(self, tmp_path):
        keys = ("encoder.layer1.0.conv1.weight", "decoder.blocks.0.conv1.0.weight")
        text = self.refused(tmp_path, *keys, "segmentation_head_0.1.weight")
        assert "segmentation_models_pytorch" in text

    def test_histoplexer_with_features(self, tmp_path):
        state = HistoPlexer(3).state_dict()
        state["feature_integration.weight"] = torch.zeros(64, 1088, 1, 1)
        torch.save(state, tmp_path / "net.pth")
        with pytest.raises(CheckpointError, match="features of another network"):
            load_checkpoint(tmp_path / "net.pth")
