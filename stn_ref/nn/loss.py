"""Losses: what training minimises. A loss is a layer whose output is one number. Read next: optim.py."""

import numpy as np

from stn_ref import checks
from stn_ref.nn.layer import Layer


class _Loss(Layer):
    def backward(self) -> np.ndarray:
        """Return dL/dscores, shape and dtype of scores."""
        _, (gscores,) = self.take(None)  # dL/dL = 1: no cotangent is passed
        return gscores


class SoftmaxCrossEntropy(_Loss):
    """Softmax and negative log-likelihood of the correct class, averaged over the batch.

        L = -1/N sum_n log p[n, labels[n]],   p[n,k] = exp(s[n,k]) / sum_l exp(s[n,l])
        gscores = (p - onehot(labels)) / N

    The largest score of each row is subtracted first, so that exp cannot overflow. This does not change p.

    Source: as torch.nn.CrossEntropyLoss with reduction="mean".
    """

    @np.errstate(all="ignore")
    def forward(self, scores: np.ndarray, labels: np.ndarray) -> float:
        """Return L.

        Args:
            scores: (N, K), float32 or float64, N and K at least 1.
            labels: (N,) integers in 0 .. K-1.

        Returns:
            L: a Python float.

        Raises:
            ShapeError: axes disagree, or N or K is 0.
            TypeError: scores are not float32 or float64, or labels are not integers.
            ValueError: a label is not in 0 .. K-1.
            UsageError: the previous training forward has had no backward yet.
        """
        labels = np.asarray(labels)
        N, K = checks.shape("scores", checks.floating("scores", scores), ("N", "K"))
        checks.not_empty("scores", scores, ("N", "K"), "N", "K")
        checks.shape("labels", labels, ("N",), N=(N, "scores"))
        if labels.dtype.kind not in "iu":
            raise TypeError(f"labels must be integers; got {labels.dtype}")
        if not (labels.min() >= 0 and labels.max() < K):
            raise ValueError(f"labels must lie in 0 .. K-1={K - 1}; got {labels.min()} .. {labels.max()}")
        rows = np.arange(N)
        shifted = scores - scores.max(axis=1, keepdims=True)
        p = np.exp(shifted)
        total = p.sum(axis=1)
        loss = (np.log(total) - shifted[rows, labels]).mean()
        if self.training:  # gscores overwrites p
            p /= total[:, None]
            p[rows, labels] -= 1
            p /= N
        return float(self.keep(loss, p))


class MeanSquaredError(_Loss):
    """Mean squared error over all elements.

        L = mean((scores - targets)^2),   gscores = 2 (scores - targets) / size

    Source: as torch.nn.MSELoss with reduction="mean".
    """

    @np.errstate(all="ignore")
    def forward(self, scores: np.ndarray, targets: np.ndarray) -> float:
        """Return L.

        Args:
            scores: any shape with at least one element, float32 or float64.
            targets: same shape and dtype.

        Returns:
            L: a Python float.

        Raises:
            ShapeError: the shapes differ, or scores has no element.
            TypeError: scores or targets are not float32 or float64, or their dtypes differ.
            UsageError: the previous training forward has had no backward yet.
        """
        checks.floating("scores", scores)
        checks.floating("targets", targets, like=("scores", scores))
        if targets.shape != scores.shape:
            raise checks.ShapeError(f"targets must have the shape of scores, {scores.shape}; got shape {targets.shape}")
        if scores.size == 0:
            raise checks.ShapeError(f"scores must have at least one element; got shape {scores.shape}")
        difference = scores - targets
        gscores = difference * scores.dtype.type(2 / scores.size)
        return float(self.keep(np.square(difference).mean(), gscores))
