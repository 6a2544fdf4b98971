"""A transformation-consistency loss: two distortions of the same example should be handed on as the same view.

Reads: ../models.py, ../nn/loss.py. Read next: loop.py.

It is not in the paper, whose transformers learn from the classification loss alone. Articles about spatial transformers
name a "transformation consistency loss" that is usually added, and do not say what it is; this definition is ours.

What it asks for is what a transformer is for: where U_2 is U_1 turned, the view of U_2 should not be turned. It knows
neither the labels nor the distortions, so it takes any two distortions and any family of transforms, also where no
T_theta can undo what was done, and only the difference can be made small.

What can go wrong: the smallest loss, 0, is also reached by looking at nothing. Two views beside the image, or of its
background, are both black; and digits that are seen from further away differ in fewer pixels. Nothing in this loss
speaks against that. The classification loss does, which needs to see the digit; so keep the factor of this one small
enough that the other is heard, and look at the views.
"""

import numpy as np

from stn_ref.nn import Layer, MeanSquaredError, Sequential


class SameView(Layer):
    """A net that begins with a transformer, and how far apart its views of two distortions of the same examples are.

        U_1 --> transformer --> V_1 --> the rest of the net --> scores
        U_2 --> transformer --> V_2
        L = 1/size sum (V_1 - V_2)^2
        gV_1 = 2 gL/size (V_1 - V_2) + what comes from the scores,   gV_2 = -2 gL/size (V_1 - V_2)

    Only U_1 is classified: with gL = 0 the parameters get the same gradients as from the net alone. The view V is what
    the transformer samples, before any pooling.

    Args:
        net: its first layer is the transformer; parameters, dropout and modes are shared with it.
    """

    def __init__(self, net: Sequential):
        self.transformer, self.rest = net[0], Sequential(*net.layers[1:])
        self.twin = self.transformer.share()
        self.apart = MeanSquaredError()

    def forward(self, U_1: np.ndarray, U_2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (scores (N, K), L ()) for two distortions (N, C, H, W) of the same examples."""
        with self.undivided():
            V_1, V_2 = self.transformer.forward(U_1), self.twin.forward(U_2)
            L = np.asarray(self.apart.forward(V_1, V_2), V_1.dtype)
            return self.keep((self.rest.forward(V_1), L))

    def backward(self, gscores: np.ndarray, gL: np.ndarray, needs: bool = True) -> tuple:
        """Return (gU_1, gU_2), each None without `needs`."""
        (gscores, gL), _ = self.take((gscores, gL))
        gV = gL * self.apart.backward()
        gU_2 = self.twin.backward(-gV, needs=needs)
        gU_1 = self.transformer.backward(gV + self.rest.backward(gscores), needs=needs)
        return gU_1, gU_2
