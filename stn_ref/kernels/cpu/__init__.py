"""The inner loops compiled by Numba, the default backend; threads.py and one_blas_thread.py also work without Numba.

This file imports nothing. A layer therefore loads only the loops that it runs.
"""
