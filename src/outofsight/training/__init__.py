"""Training: clips encoded once, the objective, the loop, checkpoints that resume exactly."""

from __future__ import annotations

from .config import TrainConfig
from .objective import ObjectiveOptions, batch_loss, training_loss, training_schedule
from .run_model import model_of_run
from .settings import with_settings
from .trainer import TrainingInterrupted, TrainResult
from .transformer import train

__all__ = [
    "ObjectiveOptions",
    "TrainConfig",
    "TrainResult",
    "TrainingInterrupted",
    "batch_loss",
    "model_of_run",
    "train",
    "training_loss",
    "training_schedule",
    "with_settings",
]
