"""0 is not "not given": options that count something take 1 or more."""

from __future__ import annotations

import pytest

from outofsight.cli import main

GENERATE = ["generate", "--model", "tiny", "--clip", "none", "--out", "o.mp4"]


@pytest.mark.parametrize(
    "given",
    [
        *([*GENERATE, name, "0"] for name in ("--height", "--width", "--frames", "--context-frames")),
        *(["doctor", name, value] for name in ("--height", "--width", "--frames", "--steps") for value in ("0", "-8")),
        ["doctor", "--tflops", "0"],
        ["doctor", "--tflops", "-1"],
    ],
)
def test_zero_is_refused(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(given) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert f"Invalid value for '{given[-2]}'" in told


@pytest.mark.parametrize("speed", ["nan", "inf", "-inf", "0", "-3"])
def test_a_speed_that_is_none_is_refused(speed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--tflops", speed]) == 2
    told = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert f"{speed} given, expected a finite number above 0, in TFLOP/s" in told
