"""Sec. 3.2: parameterised sampling grid, T_theta(G).

Reads: transforms/, coordinates.py. Read next: sampler.py.
"""

import numpy as np

from stn_ref import checks, coordinates, kernels
from stn_ref.nn.layer import Layer
from stn_ref.transforms import Transform


class GridGenerator(Layer):
    """Sampling points of a batch, (x_s, y_s) = T_theta(x_t, y_t) for every target pixel, in pixels of the input.

    Args:
        transform: the family T, from stn_ref.transforms.
        out_size: (Ho, Wo), the size of the output V; None: the size of the input.
        align_corners: the convention of normalised coordinates, see coordinates.py.
        backend: "cpu" (Numba), "vectorised" (NumPy) or "literal" (slow loops). The points are NumPy arrays, so the GPU
            backends compute them on the CPU.

    At theta = identity and out_size = in_size the points are exactly the pixels of the input.
    """

    def __init__(
        self,
        transform: Transform,
        out_size: tuple[int, int] | None = None,
        *,
        align_corners: bool = False,
        backend: str = "cpu",
    ):
        if not isinstance(transform, Transform):
            raise TypeError(f"transform must be a Transform, as transforms.get('affine') returns it; got {transform!r}")
        self.transform = transform
        self.out_size = None if out_size is None else checks.pair("out_size", out_size, 0)
        self.align_corners = checks.flag("align_corners", align_corners)
        checks.one_of("backend", backend, kernels.ALL_BACKENDS)
        self.backend = backend

    def forward(self, theta: np.ndarray, in_size: tuple[int, int] | None = None) -> np.ndarray:
        """Return points (N, Ho, Wo, 2), pixels, for theta (N, K) and an input of in_size = (H, W) (default: out_size).

        Raises:
            ShapeError: theta is not (N, K).
            ValueError: neither in_size nor out_size is given.
        """
        self.transform.check(theta)
        in_size = self.out_size if in_size is None else checks.pair("in_size", in_size, 1)
        if in_size is None:
            raise ValueError("in_size must be given, (H, W), if the grid has no out_size; got None")
        out_size = in_size if self.out_size is None else self.out_size
        axes = coordinates.axes(out_size, in_size, self.align_corners, theta.dtype)
        with np.errstate(all="ignore"):  # a diverged theta gives inf or NaN points, not a crash
            points = self.transform.grid_forward(theta, axes, kernels.grids(self.backend))
        return self.keep(points, theta, axes)

    def backward(self, gpoints: np.ndarray, needs: bool = True) -> np.ndarray | None:
        """Return gtheta (N, K): the chain rule from pixels to normalised coordinates to theta."""
        gpoints, (theta, axes) = self.take(gpoints)
        if not needs:
            return None
        with np.errstate(all="ignore"):
            return self.transform.grid_backward(theta, gpoints, axes, kernels.grids(self.backend))


def grid_backend(sampler: Layer) -> str:
    """Return the backend for the grid before this sampler: the sampler's backend, or "cpu" if it has none of ours."""
    backend = getattr(sampler, "backend", None)
    return backend if backend in kernels.ALL_BACKENDS else "cpu"


def _out_size(size: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    if not hasattr(size, "__len__") or len(size) != 4:
        raise checks.ShapeError(f"size must be (N, C, Ho, Wo), four integers; got {size!r}")
    return tuple(checks.integer("size", axis) for axis in size)


def affine_grid(
    theta: np.ndarray, size: tuple[int, int, int, int], *, align_corners: bool = False, backend: str = "cpu"
) -> np.ndarray:
    """Return the sampling grid of an affine transform, Eq. (1), as torch.nn.functional.affine_grid does.

        grid[b,i,j] = theta[b] @ (x_t, y_t, 1),   (x_t, y_t) the centre of output pixel (i, j)

    Args:
        theta: (N, 2, 3) matrices, float32 or float64, target -> source.
        size: (N, C, Ho, Wo) of the output; C is not used.
        align_corners: False: -1 and 1 are the outer edges of the image; True: the centres of its corner pixels.
        backend: "cpu" (Numba), "vectorised" (NumPy) or "literal" (slow loops).

    Returns:
        grid: (N, Ho, Wo, 2), normalised, last axis (x, y), dtype of theta.

    Raises:
        TypeError: theta is not float32 or float64, or size has other entries than integers.
        ShapeError: theta is not (N, 2, 3) with the N of size, or size has not four entries.

    Source: Jaderberg et al. 2015, Sec. 3.2.

    >>> affine_grid(np.array([[[2.0, 0, 0], [0, 2, 0.5]]]), (1, 1, 1, 2)).tolist()
    [[[[-1.0, 0.5], [1.0, 0.5]]]]
    """
    checks.one_of("backend", backend, kernels.ALL_BACKENDS)
    N, _, Ho, Wo = _out_size(size)
    checks.floating("theta", theta)
    checks.shape("theta", theta, ("N", 2, 3), N=(N, "size"))
    axes = coordinates.axes((Ho, Wo), None, checks.flag("align_corners", align_corners), theta.dtype)
    return kernels.grids(backend).matrix_forward(theta, axes)


def affine_grid_backward(
    ggrid: np.ndarray, size: tuple[int, int, int, int], *, align_corners: bool = False, backend: str = "cpu"
) -> np.ndarray:
    """Return gtheta (N, 2, 3), the gradient of sum(ggrid * affine_grid(theta, size)): Eq. (1) transposed.

    Args:
        ggrid: (N, Ho, Wo, 2), float32 or float64.
        size: (N, C, Ho, Wo) of the output, as given to affine_grid.
        align_corners: as given to affine_grid.
        backend: as for affine_grid.

    Raises:
        TypeError: ggrid is not float32 or float64, or size has other entries than integers.
        ShapeError: ggrid is not (N, Ho, Wo, 2) with the axes of size, or size has not four entries.
    """
    checks.one_of("backend", backend, kernels.ALL_BACKENDS)
    N, _, Ho, Wo = _out_size(size)
    checks.floating("ggrid", ggrid)
    checks.shape("ggrid", ggrid, ("N", "Ho", "Wo", 2), N=(N, "size"), Ho=(Ho, "size"), Wo=(Wo, "size"))
    axes = coordinates.axes((Ho, Wo), None, checks.flag("align_corners", align_corners), ggrid.dtype)
    sums = kernels.grids(backend).matrix_backward(np.empty((N, 2, 3), ggrid.dtype), ggrid, axes)
    return np.ascontiguousarray(sums[:, :6]).reshape(N, 2, 3)
