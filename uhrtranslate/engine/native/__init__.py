"""Forwards on a CPU by kernels that this machine's compiler makes once; networks, but no images."""
