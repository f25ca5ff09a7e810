"""Training: the objective (the loop comes with the training capability)."""

from __future__ import annotations

from .objective import training_loss, training_schedule

__all__ = ["training_loss", "training_schedule"]
