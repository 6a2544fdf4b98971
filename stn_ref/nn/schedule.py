"""Learning-rate schedules: functions from the number of steps made to a learning rate. Read next: optim.py."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from stn_ref import checks


@dataclass(frozen=True)
class StepRate:
    """A rate that falls in steps.

        lr * factor^(step // every)

    Args:
        lr: the first rate.
        every: the number of steps at each rate, at least 1.
        factor: each rate is the previous one times this factor.

    Raises:
        TypeError, ValueError: `every` is not an integer of at least 1.

    Source: as torch.optim.lr_scheduler.StepLR, counted in steps.

    >>> StepRate(0.1, every=100, factor=0.5)(250)
    0.025
    """

    lr: float
    every: int
    factor: float = 0.1

    def __post_init__(self):
        checks.integer("every", self.every, 1)

    def __call__(self, step: int) -> float:
        """Return the learning rate after `step` steps."""
        return self.lr * self.factor ** (step // self.every)


@dataclass(frozen=True)
class CosineRate:
    """A rate that falls from lr to `final` along half a cosine over `steps` steps, and then stays there.

        final + (lr - final) (1 + cos(pi min(step / steps, 1))) / 2

    Args:
        lr: the rate of the first step.
        steps: the number of steps of the fall, at least 1.
        final: the rate after the fall.

    Raises:
        TypeError, ValueError: `steps` is not an integer of at least 1.

    Source: Loshchilov & Hutter 2017, "SGDR", Eq. (5), without restarts.
    """

    lr: float
    steps: int
    final: float = 0.0

    def __post_init__(self):
        checks.integer("steps", self.steps, 1)

    def __call__(self, step: int) -> float:
        """Return the learning rate after `step` steps."""
        done = min(step / self.steps, 1.0)
        return self.final + (self.lr - self.final) * (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True)
class WarmUp:
    """Another schedule whose first steps rise linearly from almost 0.

        rate(step) * min(1, (step + 1) / steps)

    The first gradients are large and carry little information. Full steps along them can leave ReLU units at 0 for the
    rest of the training.

    Args:
        rate: the other schedule.
        steps: the number of steps of the rise, at least 1.

    Raises:
        TypeError, ValueError: `steps` is not an integer of at least 1.

    Source: Goyal et al. 2017, "Accurate, large minibatch SGD", Sec. 2.2, the gradual warm-up.

    >>> [WarmUp(StepRate(0.4, every=100), 4)(step) for step in (0, 1, 3, 4)]
    [0.1, 0.2, 0.4, 0.4]
    """

    rate: Callable[[int], float]
    steps: int

    def __post_init__(self):
        checks.integer("steps", self.steps, 1)

    def __call__(self, step: int) -> float:
        """Return the learning rate after `step` steps."""
        return self.rate(step) * min(1.0, (step + 1) / self.steps)
