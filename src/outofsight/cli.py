"""The command line: parses, calls, says what to do next. Each command is a file in ``commands/``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from . import __version__
from .commands.convert import convert
from .commands.demo import demo
from .commands.doctor import doctor
from .commands.encode import encode
from .commands.evaluate import evaluate
from .commands.generate import generate
from .commands.study import study
from .commands.train import train
from .commands.validate import validate
from .commands.view import view
from .commands.worlds import worlds

app = typer.Typer(
    name="outofsight",
    help="Memory for video world models: who leaves the frame is not forgotten.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(demo)
app.command()(generate)
app.command()(evaluate)
app.command()(validate)
app.command()(view)
app.command()(convert)
app.command()(worlds)
app.command()(train)
app.command()(encode)
app.command()(study)
app.command()(doctor)


def _version(asked: bool) -> None:
    if asked:
        print(f"outofsight {__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """Memory for video world models: who leaves the frame is not forgotten."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code (0 well, 2 wrong input, 130 Ctrl-C)."""
    for given in sys.argv[1:] if arguments is None else arguments:
        if any(0xD800 <= ord(letter) < 0xE000 for letter in given):  # how Python keeps bytes that are no text
            shown = given.encode("utf-8", "backslashreplace").decode()
            print(f"error: {shown} is not UTF-8 text: prompts and file names go into records as text", file=sys.stderr)
            return 2
    try:
        app(args=arguments, prog_name="outofsight")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0
