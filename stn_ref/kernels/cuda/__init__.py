"""The samplers on an NVIDIA GPU. This file imports nothing: numba-cuda is loaded when a CUDA backend is asked for."""
