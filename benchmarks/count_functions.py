r"""python benchmarks/count_functions.py
PYTHONPATH=OTHER_CHECKOUT/src python benchmarks/count_functions.py     the same of another version

How many distinct functions of ours run for one ``generate`` of the shipped model on its demo clip (one step, on the
CPU, in this process, every thread of ``threading`` included), by sub-package, and how often those ran that should
run once. What runs while modules are imported by the command counts; module and class bodies, comprehensions and
functions that dataclasses and decorators of other packages make do not.
"""

from __future__ import annotations

import argparse
import inspect
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import outofsight
from outofsight.cli import main as outofsight_main
from outofsight.commands.demo_run import packaged_clip

PACKAGE = Path(outofsight.__file__).resolve().parent
WATCHED = (
    "WorldTransformer3DModel.__init__",
    "SubjectFinder.__init__",
    "Session.check",
    "sha256_file",
)


class CallCounter:
    """Counts calls of the package's code while it is entered, on this thread and on those that begin meanwhile."""

    def __init__(self) -> None:
        self.calls: Counter[CodeType] = Counter()
        self._ours: dict[str, bool] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> CallCounter:
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _note(self, frame: FrameType, event: str, argument: Any) -> None:
        if event != "call":
            return
        code = frame.f_code
        ours = self._ours.get(code.co_filename)
        if ours is None:
            ours = self._ours[code.co_filename] = Path(code.co_filename).resolve().is_relative_to(PACKAGE)
        if ours and code.co_flags & inspect.CO_OPTIMIZED:  # bodies of modules and classes are not
            with self._lock:
                self.calls[code] += 1

    def functions(self) -> Counter[str]:
        """Distinct functions by sub-package (or top module); lambdas count, comprehensions do not."""
        found: Counter[str] = Counter()
        for code in self.calls:
            if not code.co_name.startswith("<") or code.co_name == "<lambda>":
                found[Path(code.co_filename).resolve().relative_to(PACKAGE).parts[0].removesuffix(".py")] += 1
        return found

    def times(self, qualified: str) -> int:
        """How often a function of that qualified name ran."""
        return sum(count for code, count in self.calls.items() if code.co_qualname == qualified)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny", help="shipped name, with a demo clip beside it")
    parser.add_argument("--verbose", action="store_true", help="also list the functions with their calls")
    options = parser.parse_args()
    clip = packaged_clip(options.model)
    with tempfile.TemporaryDirectory() as folder:
        command = ["generate", "--model", options.model, "--clip", str(clip), "--out", str(Path(folder) / "out.mp4")]
        with CallCounter() as counter:
            code = outofsight_main([*command, "--steps", "1", "--seed", "0", "--device", "cpu"])
    if code:
        print(f"generate failed with exit code {code}: nothing was counted", file=sys.stderr)
        return code
    by_package = counter.functions()
    print(f"package: {PACKAGE}")
    print(f"distinct functions that ran: {by_package.total()}")
    print("  " + ", ".join(f"{name} {count}" for name, count in by_package.most_common()))
    for name in WATCHED:
        print(f"{name}: {counter.times(name)}")
    if options.verbose:
        for called, count in sorted(
            counter.calls.items(), key=lambda entry: (entry[0].co_filename, entry[0].co_qualname)
        ):
            print(f"{count:8d}  {Path(called.co_filename).name}  {called.co_qualname}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
