"""What made a file: the time, and the versions of what computed it."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version


def now() -> str:
    """The time in UTC, to the second, in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions(device: str) -> dict[str, str]:
    """Versions of Python, the system and the packages that compute; on CUDA the card's name too."""
    import torch

    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in ("outofsight", "torch", "diffusers", "transformers", "numpy", "av"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    if torch.device(device).type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
        found["cuda"] = str(torch.version.cuda)
    return found
