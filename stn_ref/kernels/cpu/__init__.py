"""The inner loops compiled by Numba, the default; threads.py and one_blas_thread.py work without Numba, too.

This file imports nothing, so that a layer loads only the loops that it runs.
"""
