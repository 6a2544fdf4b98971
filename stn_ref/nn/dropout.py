"""Dropout: noise against co-adaptation. Read next: loss.py."""

import numpy as np

from stn_ref import checks
from stn_ref.nn.layer import Layer


class Dropout(Layer):
    """Inverted dropout: in training each element is zeroed with probability p, the others are scaled up.

        y = x m / (1 - p),   m ~ Bernoulli(1 - p),   gx = gy m / (1 - p);   in eval mode y = x

    Args:
        p: probability of zeroing, in [0, 1].
        rng: generator that draws the masks; a checkpoint must keep its state.

    Raises:
        TypeError: rng is not a Generator; in forward, x is not float32 or float64.
        ValueError: p is outside [0, 1].

    Source: Srivastava et al. 2014; scaled in training rather than in evaluation, as PyTorch does.
    """

    def __init__(self, p: float, rng: np.random.Generator):
        self.p = checks.between("p", p, 0, 1)
        self.rng = checks.generator("rng", rng)

    def _axes(self, x: np.ndarray) -> tuple:
        """Return the shape of the mask, which is broadcast against x."""
        return x.shape

    @np.errstate(all="ignore")
    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y, shape of x; in eval mode x itself."""
        checks.floating("x", x)
        axes = self._axes(x)
        if not self.training:
            return x
        self.ready()  # before the draw: a call that fails must not advance the generator
        kept = self.rng.random(axes, dtype=np.float32) >= self.p
        scale = kept * x.dtype.type(0 if self.p == 1 else 1 / (1 - self.p))
        return self.keep(x * scale, scale)

    @np.errstate(all="ignore")
    def backward(self, gy: np.ndarray, needs: bool = True) -> np.ndarray | None:
        """Return gx, shape of x."""
        gy, (scale,) = self.take(gy)
        return gy * scale if needs else None


class Dropout2d(Dropout):
    """Dropout of whole channels: one draw for each image and channel, shared by its pixels.

        y[n,c] = x[n,c] m[n,c] / (1 - p),   m ~ Bernoulli(1 - p),   gx[n,c] = gy[n,c] m[n,c] / (1 - p)

    The arguments and errors are those of Dropout; forward also raises ShapeError unless x is (N, C, H, W).

    Source: Tompson et al. 2015, "Efficient object localization using convolutional networks".
    """

    def _axes(self, x: np.ndarray) -> tuple:
        N, C, _, _ = checks.shape("x", x, ("N", "C", "H", "W"))
        return N, C, 1, 1
