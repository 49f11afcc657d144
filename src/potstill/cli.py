"""The command line: one command for each function of :mod:`potstill`, generated from its config."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter

from potstill import config
from potstill.errors import PotstillError, PotstillWarning

COMMANDS = {
    "collect": config.CollectConfig,
    "convert": config.ConvertConfig,
    "teach": config.TeachConfig,
    "distill": config.DistillConfig,
    "evaluate": config.EvaluateConfig,
    "inspect": config.InspectConfig,
    "export": config.ExportConfig,
    "reproduce": config.ReproduceConfig,
    "report": config.ReportConfig,
}


def make_app() -> App:
    """The application, with a command for each config; the work is imported when it is called."""
    app = App(
        name="potstill",
        help="Boil an offline RL dataset down to a few hundred pairs that train a policy in a second.",
        version=lambda: version("potstill"),
        default_parameter=Parameter(consume_multiple=True),  # --widths 64 128 256
    )
    for name, kind in COMMANDS.items():
        app.command(_command(name, kind), name=name, help=kind.__doc__)
    return app


def _command(name: str, kind: type[Any]) -> Any:
    def command(settings: Any) -> Path:
        function = getattr(import_module(f"potstill.commands.{name}"), name)
        return function(settings)

    command.__annotations__ = {"settings": Annotated[kind, Parameter(name="*")], "return": Path}
    return command


@contextmanager
def _one_line_warnings() -> Iterator[None]:
    """Print our own warnings without Python's file and line; leave all others as they are."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def show_plainly(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, PotstillWarning):
                print(f"potstill: warning: {message}", file=sys.stderr)
            else:
                show(message, category, *where, **more)

        warnings.simplefilter("always", PotstillWarning)
        warnings.showwarning = show_plainly
        yield


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code: 0, 2 for bad input, 130 when interrupted."""
    try:
        with _one_line_warnings():
            make_app()(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except (PotstillError, CycloptsError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, PotstillError) else error
        print(f"potstill: {' '.join(str(cause).split())}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read the output has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("potstill: interrupted; what was reported as done is kept", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
