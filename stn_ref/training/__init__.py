"""Training. Reading order: config.py, consistency.py, history.py, checkpoint.py, loop.py, run.py."""

from stn_ref.training.checkpoint import CheckpointError
from stn_ref.training.config import Config, Recipe
from stn_ref.training.history import Epoch, History
from stn_ref.training.loop import DivergedError, Trainer, evaluate

__all__ = ["CheckpointError", "Config", "DivergedError", "Epoch", "History", "Recipe", "Trainer", "evaluate"]
