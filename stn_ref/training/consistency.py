"""A transformation-consistency loss: two distortions of the same example should be handed on as the same view.

Reads: ../nn/. Read next: loop.py.

It is not in the paper, whose transformers learn from the classification loss alone. Articles about spatial transformers
name a "transformation consistency loss" that is usually added, and do not say what it is; this definition is ours.

What it asks for is what a transformer is for: where U_2 is U_1 turned, the view of U_2 should not be turned. It knows
neither the labels nor the distortions, so it takes any two distortions and any family of transforms, also where no
T_theta can undo what was done, and only the difference can be made small.

What can go wrong: mean (V_1 - V_2)^2 alone is smallest, 0, for who looks at nothing, and training finds that: the net
sees its digits from ever further away, and with a large factor the views are black. So the difference is taken relative
to that between any two views of the batch: a view that is the same for all examples gains nothing. Still, it need not
be the view in which digits are told apart best, and what tells one example from another need not be its class. The
classification loss speaks for that, so keep the factor of this one small enough that the other is heard.
"""

import numpy as np

from stn_ref import checks
from stn_ref.nn import Layer, Sequential


class ViewsApart(Layer):
    """How far apart two views of an example are, relative to views of two examples at random.

        L = W / T,   W = 1/size sum (V_1 - V_2)^2,   T = 1/size sum ((V_1 - M)^2 + (V_2 - M)^2)
        gV_1 = 2 gL / (size T) (  V_1 - V_2  - L (V_1 - M))
        gV_2 = 2 gL / (size T) (-(V_1 - V_2) - L (V_2 - M))

    M is the mean over the examples and both views, of each pixel on its own; size is that of V_1. T is twice the
    variance, the mean square between two views drawn at random, so that L is 0 if both views of each example agree, and
    about 1 if they have no more in common than any two. Where all views are the same, L = 1 without a gradient.
    """

    def forward(self, V_1: np.ndarray, V_2: np.ndarray) -> np.ndarray:
        """Return L, an array of shape (), for views (N, ...) of N examples, N at least 1.

        Raises:
            TypeError, ShapeError: not floats, or dtypes or shapes differ, or there is no view.
        """
        checks.floating("V_1", V_1)
        checks.floating("V_2", V_2, like=("V_1", V_1))
        if V_1.shape != V_2.shape or V_1.size == 0:
            raise checks.ShapeError(
                f"V_1 and V_2 must have one shape and at least one element; got {V_1.shape}, {V_2.shape}"
            )
        M = (V_1.mean(axis=0) + V_2.mean(axis=0)) / 2
        d_1, d_2 = V_1 - M, V_2 - M
        T = np.square(d_1).mean() + np.square(d_2).mean()
        differ = T > np.finfo(T.dtype).eps ** 2
        L = np.asarray(np.square(V_1 - V_2).mean() / T if differ else 1, V_1.dtype)
        return self.keep(L, d_1, d_2, 2 / (V_1.size * T) if differ else 0 * T, L)

    def backward(self, gL: np.ndarray, needs: bool = True) -> tuple:
        """Return (gV_1, gV_2), each None without `needs`."""
        gL, (d_1, d_2, scale, L) = self.take(gL)
        if not needs:
            return None, None
        d = d_1 - d_2
        return gL * scale * (d - L * d_1), gL * scale * (-d - L * d_2)


class SameView(Layer):
    """A net that begins with a transformer, and how far apart its views of two distortions of the same examples are.

        U_1 --> transformer --> V_1 --> the rest of the net --> scores
        U_2 --> transformer --> V_2
        L = ViewsApart(V_1, V_2)

    Only U_1 is classified: with gL = 0 the parameters get the same gradients as from the net alone. The view V is what
    the transformer samples, before any pooling.

    Args:
        net: its first layer is the transformer; parameters, dropout and modes are shared with it.
    """

    def __init__(self, net: Sequential):
        self.transformer, self.rest = net[0], Sequential(*net.layers[1:])
        self.twin = self.transformer.share()
        self.apart = ViewsApart()

    def forward(self, U_1: np.ndarray, U_2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (scores (N, K), L ()) for two distortions (N, C, H, W) of the same examples."""
        with self.undivided():
            V_1, V_2 = self.transformer.forward(U_1), self.twin.forward(U_2)
            return self.keep((self.rest.forward(V_1), self.apart.forward(V_1, V_2)))

    def backward(self, gscores: np.ndarray, gL: np.ndarray, needs: bool = True) -> tuple:
        """Return (gU_1, gU_2), each None without `needs`."""
        (gscores, gL), _ = self.take((gscores, gL))
        gV_1, gV_2 = self.apart.backward(gL)
        gU_2 = self.twin.backward(gV_2, needs=needs)
        gU_1 = self.transformer.backward(gV_1 + self.rest.backward(gscores), needs=needs)
        return gU_1, gU_2
