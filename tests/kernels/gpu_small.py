"""Every kernel of the CUDA backends once, on a small case, compared with the CPU: for compute-sanitizer, see gpu.sh."""

import itertools

import numpy as np

from stn_ref import kernels
from stn_ref.sampler import sample, sample_backward

DTYPES, MODES = (np.float32, np.float64), ("bilinear", "nearest")


def compare(dtypes=DTYPES, modes=MODES, paddings=kernels.PADDINGS) -> int:
    """Return the number of results compared; AssertionError if one differs from the CPU's."""
    rng, compared = np.random.default_rng(0), 0
    for dtype, mode, padding in itertools.product(dtypes, modes, paddings):
        U, gV = rng.standard_normal((2, 3, 9, 7)).astype(dtype), rng.standard_normal((2, 3, 5, 6)).astype(dtype)
        points = rng.uniform(-4, 12, (2, 5, 6, 2)).astype(dtype)  # several on one pixel, and some far outside
        points[0, 0, :3] = [[np.nan, 1], [np.inf, 2], [3, 4]]
        options = {"mode": mode, "padding": padding}
        wanted = [sample(U, points, **options), *sample_backward(U, points, gV, **options)]
        for backend in kernels.CUDA_BACKENDS:
            options["backend"] = backend
            got = [sample(U, points, **options), *sample_backward(U, points, gV, **options)]
            for ours, theirs in zip(got, wanted, strict=True):
                np.testing.assert_allclose(ours, theirs, atol=100 * np.finfo(dtype).eps, err_msg=str(options))
                compared += 1
    return compared


if __name__ == "__main__":
    print(f"{compare()} results of the CUDA kernels are those of the CPU")
