"""Networks with the layouts of public programs, built from their description, load and agree."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from uhrtranslate.engine import forget_running_statistics
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


def trained(network):
    """With running statistics, singular vectors and contrast."""
    torch.manual_seed(0)
    network.train()
    for _ in range(3):
        network(torch.rand(2, 3, 64, 64) * 2 - 1)
    return network.eval()


LAYOUTS = {
    "ASP, PSPStain": (asp, "resnet", {"n_blocks": 6, "antialias": True, "norm": "instance"}),
    "DeepLIIF": (deepliif, "resnet", {"n_blocks": 9, "padding": "zero", "norm": "batch"}),
    "VirtualMultiplexer": (VirtualMultiplexer, "kaminyou", {"n_blocks": 9, "antialias": False}),
    "DeepLIIF's U-Net": (lambda: UnetGenerator(ngf=2, n_downs=9), "unet", {"n_downs": 9}),
}


@pytest.mark.parametrize(("build", "family", "facts"), LAYOUTS.values(), ids=LAYOUTS)
def test_outputs_are_equal(build, family, facts, tmp_path):
    torch.manual_seed(1)
    network = build()
    side = 512 if family == "unet" else 64
    network = network.eval() if family == "unet" else trained(network)
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
