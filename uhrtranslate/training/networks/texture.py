"""The texture discriminator of DSTGAN: one score for a whole patch, and features on the way."""

from torch import Tensor, nn

# Halvings; DSTGAN compares the features behind each of them.
LAYERS = 4


class TextureDiscriminator(nn.Module):
    """Four convolutions that halve, and one fully connected layer.

    Args:
        in_channels: of what is judged.
        width: channels after the first convolution; they double with each.
        patch: side of the patches in px, a multiple of 16.
    """

    def __init__(self, in_channels: int, width: int, patch: int) -> None:
        super().__init__()
        wide = [in_channels, *(width * 2**i for i in range(LAYERS))]
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(wide[i], wide[i + 1], 4, 2, 1),
                *([nn.InstanceNorm2d(wide[i + 1])] if i else []),
                nn.LeakyReLU(0.2),
            )
            for i in range(LAYERS)
        )
        self.score = nn.Linear(wide[-1] * (patch // 2**LAYERS) ** 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[n, in_channels, patch, patch] in -1..1 to scores [n, 1], unbounded."""
        y: Tensor = self.score(self.features(x)[-1].flatten(1))
        return y

    def features(self, x: Tensor) -> list[Tensor]:
        """What each convolution gives, [n, c, h, w] each."""
        found = []
        for layer in self.layers:
            x = layer(x)
            found.append(x)
        return found
