"""Training: loop, checkpoints, history."""

from stn_ref.training.checkpoint import CheckpointError
from stn_ref.training.history import Epoch, History
from stn_ref.training.loop import Config, DivergedError, Trainer, evaluate

__all__ = ["CheckpointError", "Config", "DivergedError", "Epoch", "History", "Trainer", "evaluate"]
