"""Earlier fakes, shown again so that a discriminator does not forget them (Shrivastava 2017)."""

import torch
from torch import Tensor


class ImagePool:
    """Keeps up to `size` earlier images and exchanges new ones for them.

    Args:
        size: with 0, every new image is returned as it is.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.images: list[Tensor] = []

    def swap(self, images: Tensor) -> Tensor:
        """Fill the pool; once it is full, exchange half of the images for older ones.

        Args:
            images: [n, c, h, w], without gradient.

        Returns: as many images.
        """
        if self._size == 0:
            return images
        given = []
        for image in images:
            if len(self.images) < self._size:
                self.images.append(image.clone())
                given.append(image)
            elif float(torch.rand(())) < 0.5:
                place = int(torch.randint(self._size, ()))
                given.append(self.images[place])
                self.images[place] = image.clone()
            else:
                given.append(image)
        return torch.stack(given)
