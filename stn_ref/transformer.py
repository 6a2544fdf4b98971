"""Sec. 3.4: the spatial transformer, localisation + grid + sampler.

Reads: localisation.py, grid.py, sampler.py. Read next: models.py.
"""

import numpy as np

from stn_ref import checks
from stn_ref.grid import GridGenerator, grid_backend
from stn_ref.nn.errors import inside
from stn_ref.nn.layer import Layer
from stn_ref.nn.param import added
from stn_ref.sampler import Sampler, pixel_padding
from stn_ref.transforms import Transform


class SpatialTransformer(Layer):
    """The spatial transformer module, Sec. 3.4: theta = f_loc(U), V = U sampled at T_theta(G).

        U --> localisation --> theta --> grid --> points --.
         `---------------------------------------------> sampler --> V

    The gradient reaches the localisation net through the sampling points, Eq. (7). The net thus learns where to look
    from the loss alone.

    Args:
        localisation: a Layer, U (N, C, H, W) -> theta (N, K); see localisation.py.
        transform: the family T, from stn_ref.transforms.
        out_size: (Ho, Wo) of V; default: the size of U.
        align_corners: the convention of normalised coordinates.
        mode, padding_mode, kink, a, ties, backend: options of the sampler, see grid_sample and grid_sample_backward;
            the grid uses the same backend.
        sampler: a layer (U, points) -> V that replaces it, for example from kernel_sampler.py; it has its own options.
        return_theta: forward returns (V, theta), and backward takes (gV, gtheta): for losses on theta.

    Raises:
        TypeError: transform is not a Transform, or localisation or sampler is not a Layer.
        ValueError: an option is not supported, or an option of the sampler is given together with `sampler`.

    With theta = identity and out_size = (H, W), V equals U exactly. Source: Jaderberg et al. 2015, Sec. 3.4.
    """

    def __init__(
        self,
        localisation: Layer,
        transform: Transform,
        out_size: tuple[int, int] | None = None,
        *,
        align_corners: bool = False,
        mode: str = "bilinear",
        padding_mode: str = "zeros",
        kink: str = "right",
        a: float = -0.75,
        ties: str = "even",
        backend: str = "cpu",
        sampler: Layer | None = None,
        return_theta: bool = False,
    ):
        for name, layer in (("localisation", localisation), ("sampler", sampler)):
            if not isinstance(layer, Layer) and (name, layer) != ("sampler", None):
                raise TypeError(f"{name} must be a Layer; got {layer!r}")
        self.localisation = localisation
        options = {"mode": mode, "padding_mode": padding_mode, "kink": kink, "a": a, "ties": ties, "backend": backend}
        defaults = SpatialTransformer.__init__.__kwdefaults__
        if sampler is None:
            padding = pixel_padding(padding_mode, align_corners)
            sampler = Sampler(mode=mode, padding=padding, kink=kink, a=a, ties=ties, backend=backend)
        elif any(value != defaults[name] for name, value in options.items()):
            raise ValueError(
                "mode, padding_mode, kink, a, ties and backend must be left out if a sampler is given, which has its "
                f"own; got {options}"
            )
        self.sampler = sampler
        self.grid = GridGenerator(transform, out_size, align_corners=align_corners, backend=grid_backend(self.sampler))
        self.return_theta = return_theta

    def forward(self, U: np.ndarray) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Return V (N, C, Ho, Wo), or (V, theta)."""
        checks.floating("U", U)
        checks.shape("U", U, ("N", "C", "H", "W"))
        with self.undivided():
            with inside("localisation", self.localisation, U):
                theta = self.localisation.forward(U)
            points = self.grid.forward(theta, U.shape[2:])
            with inside("sampler", self.sampler, U, points):
                V = self.sampler.forward(U, points)
            return self.keep((V, theta) if self.return_theta else V)

    def look(self, U: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (theta (N, K), points (N, Ho, Wo, 2) in pixels of U, V): forward without storage for backward."""
        with inside("localisation", self.localisation, U):
            theta = self.localisation.share().eval().forward(U)
        points = self.grid.share().eval().forward(theta, U.shape[2:])
        return theta, points, self.sampler.share().eval().forward(U, points)

    def backward(self, gV: np.ndarray, gtheta: np.ndarray | None = None, needs: bool = True) -> np.ndarray | None:
        """Return gU, the sum of two paths: through the sampled pixels, and through theta."""
        if self.return_theta:
            (gV, gtheta), _ = self.take((gV, gtheta))
        elif gtheta is None:
            gV, _ = self.take(gV)
        else:
            raise checks.UsageError("gtheta needs a SpatialTransformer made with return_theta=True")
        gU, gpoints = self.sampler.backward(gV, needs=(needs, True))
        gtheta_grid = self.grid.backward(gpoints)
        gtheta = gtheta_grid if gtheta is None else added(gtheta_grid, gtheta)
        with inside("localisation", self.localisation, gtheta):
            gU_localisation = self.localisation.backward(gtheta, needs=needs)
        return added(gU, gU_localisation) if needs else None
