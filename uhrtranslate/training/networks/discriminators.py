"""The PatchGAN discriminator (Isola 2017): one score for each overlapping patch."""

from torch import Tensor, nn

from uhrtranslate.models.architecture import make_norm
from uhrtranslate.models.resnet import BlurDown


class PatchDiscriminator(nn.Module):
    """Convolutions of 4 x 4 px, `layers` of which halve; 3 layers see 70 x 70 px.

    Args:
        in_channels: of what is judged; source and result together if conditional.
        ndf: channels after the first convolution, up to eight times that further inside.
        layers: halvings.
        norm: "instance" or "batch".
        antialias: halve with a fixed blur instead of a strided convolution.
    """

    def __init__(
        self,
        in_channels: int = 3,
        ndf: int = 64,
        layers: int = 3,
        norm: str = "instance",
        antialias: bool = False,
    ) -> None:
        super().__init__()
        stride = 1 if antialias else 2

        def halve(channels: int) -> list[nn.Module]:
            return [BlurDown(channels)] if antialias else []

        body: list[nn.Module] = [
            nn.Conv2d(in_channels, ndf, 4, stride, 1),
            nn.LeakyReLU(0.2, inplace=True),
            *halve(ndf),
        ]
        c = ndf
        for i in range(1, layers + 1):
            wide = ndf * min(2**i, 8)
            last = i == layers
            body += [
                nn.Conv2d(c, wide, 4, 1 if last else stride, 1, bias=norm == "instance"),
                make_norm(norm, wide, False),
                nn.LeakyReLU(0.2, inplace=True),
                *([] if last else halve(wide)),
            ]
            c = wide
        self.model = nn.Sequential(*body, nn.Conv2d(c, 1, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[n, in_channels, h, w] in -1..1 to scores [n, 1, h', w'], unbounded."""
        y: Tensor = self.model(x)
        return y
