"""Sec. 3.2: parameterised sampling grid, T_theta(G).

Reads: transforms/, coordinates.py. Read next: sampler.py.
"""

import numpy as np

from stn_ref import checks, coordinates
from stn_ref.kernels.cpu.threads import parallel, spans
from stn_ref.nn.layer import Layer
from stn_ref.transforms import Transform

PIECE = 1 << 16  # points that a thread works off at once: what is computed on the way stays in its cache


class GridGenerator(Layer):
    """Sampling points of a batch, (x_s, y_s) = T_theta(x_t, y_t) for every target pixel, in pixels of the input.

    Args:
        transform: the family T, from stn_ref.transforms.
        out_size: (Ho, Wo), the size of the output V; None: the size of the input.
        align_corners: the convention of normalised coordinates, see coordinates.py.

    At theta = identity and out_size = in_size the points are the pixels of the input, without rounding.
    """

    def __init__(self, transform: Transform, out_size: tuple[int, int] | None = None, *, align_corners: bool = False):
        if not isinstance(transform, Transform):
            raise TypeError(f"transform must be a Transform, as transforms.get('affine') returns it; got {transform!r}")
        self.transform = transform
        self.out_size = None if out_size is None else checks.pair("out_size", out_size, 0)
        self.align_corners = checks.flag("align_corners", align_corners)

    def forward(self, theta: np.ndarray, in_size: tuple[int, int] | None = None) -> np.ndarray:
        """Return points (N, Ho, Wo, 2), pixels, for theta (N, K) and an input of in_size = (H, W) (default: out_size).

        Raises:
            ShapeError: theta is not (N, K).
            ValueError: neither in_size nor out_size is given.
        """
        self.transform.check(theta)
        in_size = self.out_size if in_size is None else checks.pair("in_size", in_size, 1)
        if in_size is None:
            raise ValueError("in_size must be given, (H, W), where the grid was made without out_size; got None")
        out_size = in_size if self.out_size is None else self.out_size
        G = coordinates.target_grid(out_size, self.align_corners, theta.dtype)[None]  # the same for every sample
        points = np.empty((len(theta), *out_size, 2), theta.dtype)
        pieces = _pieces(points)

        def part(p):
            d = self.transform.displacement(theta[pieces[p]], G)
            points[pieces[p]] = coordinates.displaced(d, in_size, self.align_corners)

        with np.errstate(all="ignore"):  # a diverged theta gives inf or NaN points, not a crash
            parallel(part, len(pieces))
        return self.keep(points, theta, G, in_size)

    def backward(self, gpoints: np.ndarray, needs: bool = True) -> np.ndarray | None:
        """Return gtheta (N, K): the chain rule from pixels to normalised coordinates to theta."""
        gpoints, (theta, G, in_size) = self.take(gpoints)
        if not needs:
            return None
        gtheta, pieces = np.empty_like(theta), _pieces(gpoints)

        def part(p):
            gd = coordinates.to_pixels_backward(gpoints[pieces[p]], in_size, self.align_corners)
            gtheta[pieces[p]] = self.transform.backward(theta[pieces[p]], G, gd, (True, False))[0]

        with np.errstate(all="ignore"):
            parallel(part, len(pieces))
        return gtheta


def _pieces(points: np.ndarray) -> list[slice]:
    """Return which samples are worked off at once; by their shape alone, so that no bit depends on the threads."""
    return [slice(*span) for span in spans(len(points), max(1, points.size // (2 * PIECE)))]


def _out_size(size: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    if not hasattr(size, "__len__") or len(size) != 4:
        raise checks.ShapeError(f"size must be (N, C, Ho, Wo), four integers; got {size!r}")
    return tuple(checks.integer("size", axis) for axis in size)


def affine_grid(theta: np.ndarray, size: tuple[int, int, int, int], *, align_corners: bool = False) -> np.ndarray:
    """Return the sampling grid of an affine transform, Eq. (1); torch.nn.functional.affine_grid.

        grid[b,i,j] = theta[b] @ (x_t, y_t, 1),   (x_t, y_t) the centre of output pixel (i, j)

    Args:
        theta: (N, 2, 3) matrices, float32 or float64, target -> source.
        size: (N, C, Ho, Wo) of the output; C is not used.
        align_corners: False: -1 and 1 are the outer edges of the image; True: the centres of its corner pixels.

    Returns:
        grid: (N, Ho, Wo, 2), normalised, last axis (x, y), dtype of theta.

    Raises:
        TypeError: theta is not float32 or float64, or size not integers.
        ShapeError: theta is not (N, 2, 3) with the N of size.

    Source: Jaderberg et al. 2015, Sec. 3.2.

    >>> affine_grid(np.array([[[2.0, 0, 0], [0, 2, 0.5]]]), (1, 1, 1, 2)).tolist()
    [[[[-1.0, 0.5], [1.0, 0.5]]]]
    """
    N, _, Ho, Wo = _out_size(size)
    checks.floating("theta", theta)
    checks.shape("theta", theta, ("N", 2, 3), N=(N, "size"))
    checks.flag("align_corners", align_corners)
    target1 = _target1(Ho, Wo, align_corners, theta.dtype)
    with np.errstate(all="ignore"):
        return np.einsum("bkl,ijl->bijk", np.ascontiguousarray(theta), target1)


def affine_grid_backward(
    ggrid: np.ndarray, size: tuple[int, int, int, int], *, align_corners: bool = False
) -> np.ndarray:
    """Return gtheta (N, 2, 3), the gradient of sum(ggrid * affine_grid(theta, size)): Eq. (1) transposed.

    Args:
        ggrid: (N, Ho, Wo, 2), float32 or float64.
        size: (N, C, Ho, Wo) of the output, as given to affine_grid.
        align_corners: as given to affine_grid.

    Raises:
        TypeError: ggrid is not float32 or float64, or size not integers.
        ShapeError: ggrid is not (N, Ho, Wo, 2) with the axes of size.
    """
    N, _, Ho, Wo = _out_size(size)
    checks.floating("ggrid", ggrid)
    checks.shape("ggrid", ggrid, ("N", "Ho", "Wo", 2), N=(N, "size"), Ho=(Ho, "size"), Wo=(Wo, "size"))
    checks.flag("align_corners", align_corners)
    target1 = _target1(Ho, Wo, align_corners, ggrid.dtype)
    with np.errstate(all="ignore"):
        return np.einsum("bijk,ijl->bkl", np.ascontiguousarray(ggrid), target1)


def _target1(Ho: int, Wo: int, align_corners: bool, dtype) -> np.ndarray:
    """Return (x_t, y_t, 1) for every output pixel, (Ho, Wo, 3)."""
    G = coordinates.target_grid((Ho, Wo), align_corners, dtype)
    return np.concatenate([G, np.ones((Ho, Wo, 1), dtype)], axis=-1)
