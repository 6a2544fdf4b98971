"""The samplers on an NVIDIA GPU. This file imports nothing: only the use of a CUDA backend loads numba-cuda."""
