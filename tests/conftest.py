"""Fixtures that several test files share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # several test processes side by side: threads of torch would only wait
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

REPOSITORY = Path(__file__).resolve().parents[1]
GOLDENS = Path(__file__).parent / "goldens"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real clips and full goldens beside the checkout; tests that need it skip where it is absent."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip(f"needs the real clips in {folder.name}/ beside the checkout, which is not there")
    return folder


@pytest.fixture(scope="session")
def goldens() -> Path:
    """Numbers computed once by the released HyDRA code (see tests/goldens/README.md), or others of the same keys in the
    folder that OUTOFSIGHT_GOLDENS names."""
    return Path(os.environ.get("OUTOFSIGHT_GOLDENS") or GOLDENS)


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c() -> None:
    """Shells start what runs in the background with Ctrl-C ignored, and tests raise it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _attention_backend() -> Iterator[None]:
    """diffusers' set_attention_backend sets the default of the whole process."""
    from diffusers.models.attention_dispatch import _AttentionBackendRegistry as Registry

    before = Registry.get_active_backend()[0]
    yield
    Registry.set_active_backend(before)
