"""Forwards on a GPU whose passes beside the convolutions are kernels of our own, in Triton."""
