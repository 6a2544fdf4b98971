"""Record the results of each epoch of a training."""

from dataclasses import asdict, dataclass, field

from stn_ref.schema import COUNT, FRACTION, NUMBER, POSITIVE

ROW = {  # of a checkpoint and of a file of results: the fields of an Epoch
    "epoch": COUNT,
    **dict.fromkeys(("lr", "train_loss"), NUMBER),
    "train_accuracy": FRACTION,
    "val_loss": (NUMBER, None),
    "val_accuracy": (FRACTION, None),
    "seconds": POSITIVE,
}


@dataclass
class Epoch:
    """One row: accuracies are fractions, losses are means over examples, seconds are wall-clock time.

    The validation columns are None without a validation set.
    """

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    seconds: float


@dataclass
class History:
    """The rows so far, and the best of them."""

    epochs: list[Epoch] = field(default_factory=list)

    def append(self, row: Epoch) -> bool:
        """Add a row; return whether it is the best so far."""
        self.epochs.append(row)
        return self.best is row

    @property
    def best(self) -> Epoch | None:
        """The row with the highest validation accuracy, then the lowest loss; without validation the last row."""
        if not self.epochs or self.epochs[-1].val_accuracy is None:
            return self.epochs[-1] if self.epochs else None
        return max(self.epochs, key=lambda row: (row.val_accuracy, -row.val_loss))

    def stale(self) -> int:
        """Return how many epochs have passed since the best one."""
        return len(self.epochs) - self.best.epoch if self.epochs else 0

    def to_list(self) -> list[dict]:
        """Return the rows as plain dictionaries, for JSON."""
        return [asdict(row) for row in self.epochs]

    @classmethod
    def from_list(cls, rows: list[dict]) -> "History":
        """Return the history whose `to_list` gave `rows`."""
        return cls([Epoch(**row) for row in rows])
