"""Fakes of earlier steps, which keep a discriminator from chasing the newest (Shrivastava 2017)."""

import torch
from torch import Tensor


class ImagePool:
    """Up to `size` images; each image that comes is returned, or swapped with one of them.

    Args:
        size: 0 returns what comes.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.images: list[Tensor] = []

    def swap(self, images: Tensor) -> Tensor:
        """Fill the pool; once full, half of the images are exchanged for older ones.

        Args:
            images: [n, c, h, w], without gradient.

        Returns: as many.
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
