"""The errors a user can cause, each of them also a ValueError.

A message says what was given, what was expected, and how to mend it. The command line prints it without a
traceback and exits with code 2.
"""

from __future__ import annotations


class OutOfSightError(ValueError):
    """Base of every error that wrong input causes."""


class CameraError(OutOfSightError):
    """A camera file, path or pose that cannot be used."""


class VideoError(OutOfSightError):
    """A video that is missing, unreadable, too short or of no frames."""


class LayoutError(OutOfSightError):
    """A data folder whose layout is not one of the known ones."""


class CheckpointError(OutOfSightError):
    """Weights that are missing, truncated, unsafe, or of other names or sizes than the model's."""


class GeometryError(OutOfSightError):
    """Frames, resolution or poses that do not fit one another or the model."""


class MemoryOptionError(OutOfSightError):
    """Options of a memory mechanism that contradict one another or the model."""


class PromptError(OutOfSightError):
    """A prompt that the text encoder cannot take whole."""


class NumericsError(OutOfSightError):
    """Latents or pixels that are not finite, where a picture was expected."""


class OutputError(OutOfSightError):
    """A place that cannot be written to."""


class WorldsError(OutOfSightError):
    """A world that cannot be planned, built or rendered as asked."""


class DatasetError(OutOfSightError):
    """A folder of encoded clips that is empty, half-written, broken, or made with other parts than the model's."""


class TrainingError(OutOfSightError):
    """A training run that cannot begin, continue or be resumed as asked."""


class StudyError(OutOfSightError):
    """A study that cannot be run or told: unknown rows, values of other settings."""
