"""Configurations: everything that determines the outcome of a training; the values are checked. Read next: loop.py."""

from dataclasses import dataclass

from stn_ref import checks, data, models

SCHEDULES = ("cosine", "step", "constant")
OPTIMISERS = ("sgd", "adam")


@dataclass(frozen=True)
class Recipe:
    """Everything that determines the outcome of a training, apart from the net and the data.

    Attributes:
        epochs: passes over the training set.
        batch_size: examples per step.
        optimiser: "sgd" or "adam".
        momentum: Nesterov's momentum for SGD; 0: none.
        lr: the highest learning rate, after the warm-up.
        schedule: "cosine" to 0, "step" (a tenth after each third, as in the paper) or "constant".
        warmup: steps over which the learning rate rises to the schedule's, but at most a tenth of all steps.
        weight_decay: L2 regularisation: weight_decay * W is added to the gradient of each weight, not of biases.
        consistency: factor of the consistency loss, which is small if the transformer follows a moved image, so that
            its view stays the same; 0: none. It is not from the paper, see consistency.py. The net must begin with a
            transformer.
        clip: largest norm of the whole gradient; 0: no clipping.
        localisation_lr_scale: factor on the learning rate of the localisation net. A tenth is common (the
            paper, on SVHN, with SGD). In five epochs of R, SGD with a tenth never left the identity; Adam with a
            warm-up and the full rate learned to rotate the digits.
        patience: stop after this many epochs without a better validation accuracy; 0: never stop early.
        seed: seed of all random choices.
    """

    epochs: int = 5
    batch_size: int = 32
    optimiser: str = "adam"
    momentum: float = 0.9
    lr: float = 0.002
    schedule: str = "cosine"
    warmup: int = 300
    weight_decay: float = 0.0
    consistency: float = 0.0
    clip: float = 5.0
    localisation_lr_scale: float = 1.0
    patience: int = 0
    seed: int = 0

    def __post_init__(self):
        checks.one_of("optimiser", self.optimiser, OPTIMISERS)
        checks.one_of("schedule", self.schedule, SCHEDULES)
        for name, least in (("epochs", 1), ("batch_size", 1), ("warmup", 0), ("patience", 0), ("seed", 0)):
            checks.integer(name, getattr(self, name), least)
        for name in ("lr", "weight_decay", "consistency", "clip", "localisation_lr_scale"):
            checks.between(name, getattr(self, name), 0, 1e6)
        checks.between("momentum", self.momentum, 0, 1)


@dataclass(frozen=True)
class Config(Recipe):
    """A Recipe, with a net and a distortion of digits by name.

    Attributes:
        model: a name from models.MODELS or models.PUBLISHED.
        distortion: a name from data.KINDS.
        dropout: probability of dropping a unit before each fully-connected layer, except the layer that reads the
            image; for the nets of Table 1 only: the published nets have their own dropout.
    """

    model: str = "st-cnn-affine"
    distortion: str = "R"
    dropout: float = 0.0

    def __post_init__(self):
        checks.one_of("model", self.model, (*models.MODELS, *models.PUBLISHED))
        checks.one_of("distortion", self.distortion, data.KINDS)
        if checks.between("dropout", self.dropout, 0, 1) and self.model in models.PUBLISHED:
            raise ValueError(f"dropout must be left out for {self.model!r}, which has its own; got {self.dropout!r}")
        super().__post_init__()
