"""Sampling large latents by tiles that share each timestep; networks are callables; no images."""
