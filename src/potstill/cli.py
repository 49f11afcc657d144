"""The command line: one command for each function of :mod:`potstill`, generated from its config."""

from __future__ import annotations

import atexit
import dataclasses
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any, NoReturn, get_args, get_type_hints

import cyclopts
from cyclopts import App, CycloptsError, Parameter, Token

from potstill import config
from potstill.config.parts import NamedPart, split_part_options
from potstill.config.presets import expand_preset
from potstill.config.reading import positional_first
from potstill.config.settings import PART_REGISTRIES, RENAMED_OPTIONS, read_option_docs
from potstill.errors import PotstillError, PotstillWarning, naming_options
from potstill.runtime.interruption import Interrupted, drop_signals, handling, raise_interrupted
from potstill.runtime.progress import busy
from potstill.runtime.streams import safe_streams
from potstill.runtime.validation import Dataclass

COMMANDS = {
    "collect": config.CollectConfig,
    "convert": config.ConvertConfig,
    "teach": config.TeachConfig,
    "model": config.ModelConfig,
    "distill": config.DistillConfig,
    "merge": config.MergeConfig,
    "evaluate": config.EvaluateConfig,
    "finetune": config.FinetuneConfig,
    "inspect": config.InspectConfig,
    "explain": config.ExplainConfig,
    "audit": config.AuditConfig,
    "export": config.ExportConfig,
    "export-policy": config.ExportPolicyConfig,
    "push": config.PushConfig,
    "reproduce": config.ReproduceConfig,
    "report": config.ReportConfig,
}
FUNCTIONS = {name: f"run_{name.replace('-', '_')}" for name in ("export", "export-policy", "merge", "push", "report")}
"""Functions of a config, for commands whose function in Python takes none."""
INTERRUPTED = 128  # exit codes above are those of signals
RENAMED_SECTIONS = {
    **dict.fromkeys(("kernel", "empirical", "ridge", "features", "unroll"), "solver"),
    **dict.fromkeys(("bc", "rebrac", "iql", "cal-ql", "edac"), "algorithm"),
}
"""Sections of options in version 0.1, and the part whose fields they are now."""


def make_app(fields: Mapping[str, Mapping[str, str]] | None = None, *, with_help: bool = True) -> App:
    """Build the command-line application, with one command per config. A command imports its modules when it is called.

    Args:
        fields: for each part option, the values of its fields, such as ``--recipe.layers 5``.
        with_help: whether to look up the descriptions of options, which takes some time.
    """
    app = App(
        name="potstill",
        help="Distil an offline RL dataset into a few hundred (state, action) pairs that train a policy in seconds.",
        version=lambda: version("potstill"),
        default_parameter=Parameter(  # --widths 64 128 256
            consume_multiple=1, negative_iterable=(), converter=convert_words
        ),
        suppress_keyboard_interrupt=False,  # an interruption says how to resume
    )
    for name, kind in COMMANDS.items():
        shown = _with_help(kind) if with_help else kind
        app.command(_make_command(name, shown, fields or {}), name=name, help=kind.__doc__)
    return app


def convert_words(kind: Any, words: Sequence[Token]) -> object:
    """Convert the words of an option to its type. Cyclopts alone would round a fraction, and would read 0x10 as 16.

    Raises:
        PotstillError: a whole number is needed, and a word is a fraction, or not decimal.
    """
    if int in (kind, *get_args(kind)):
        for word in words:
            if "." in word.value or re.match(r"[+-]?0[box]", word.value, re.IGNORECASE):
                raise PotstillError(f"{word.keyword} {word.value}: a whole number is needed")
    return cyclopts.convert(kind, words)


def _make_command(
    name: str, kind: type[object], fields: Mapping[str, Mapping[str, str]]
) -> Callable[[Dataclass], object]:
    def command(settings: Dataclass) -> object:
        module = name.replace("-", "_")
        function = getattr(import_module(f"potstill.commands.{module}"), FUNCTIONS.get(name, module))
        return function(add_fields(settings, fields))

    command.__annotations__ = {"settings": Annotated[kind, Parameter(name="*")], "return": object}
    return command


def _with_help(kind: type) -> type:
    """A subclass of a config whose options have their descriptions as help, with the names of all parts filled in."""
    docs, hints = read_option_docs(kind), get_type_hints(kind)
    options = [
        (
            option.name,
            Annotated[hints[option.name], Parameter(help=docs.get(option.name))],
            dataclasses.field(default=option.default, kw_only=option.kw_only),
        )
        for option in dataclasses.fields(kind)
    ]
    module = {"__module__": kind.__module__}
    return positional_first(
        dataclasses.make_dataclass(kind.__name__, options, bases=(kind,), namespace=module, frozen=True)
    )


def add_fields(settings: Dataclass, fields: Mapping[str, Mapping[str, str]]) -> Dataclass:
    """Combine part options with their fields: ``--recipe default`` and ``--recipe.layers 5`` make one part.

    A part without a name and without a default has an empty name. The command then decides which part the fields
    change.

    Raises:
        PotstillError: the command has no option for these fields.
    """
    parts = {}
    for option, values in fields.items():
        if not hasattr(settings, option):
            raise PotstillError(f"--{option}.{next(iter(values)).replace('_', '-')}: this command has no --{option}")
        unnamed = getattr(settings, "unnamed_parts", {}).get(option, "")
        parts[option] = NamedPart(getattr(settings, option) or unnamed, values)
    again = {name: None for name in getattr(settings, "defaulted", ()) if name not in parts}  # may depend on the parts
    return dataclasses.replace(settings, **again, **parts) if parts else settings


def prepare_words(words: Sequence[str]) -> list[str]:
    """Refuse empty words, and files that read as options; expand ``~`` where the shell does not.

    >>> prepare_words(["inspect", "x.npz", "--out", ""])
    Traceback (most recent call last):
    potstill.errors.PotstillError: --out is empty: expected a value
    """
    found = []
    for before, word in zip(["", *words], words, strict=False):
        option, equals, value = word.partition("=")
        named = word.startswith("--") and bool(equals)
        if not (value if named else word):
            what = option if named else before if before.startswith("--") else "an argument"
            raise PotstillError(f"{what} is empty: expected a value")
        if word.startswith("-") and not re.fullmatch(r"-?-\w+|-[\d.e+-]+", word) and os.path.lexists(word):
            raise PotstillError(f"{word}: a file name that begins with a dash reads as an option: write ./{word}")
        found.append(f"{option}={os.path.expanduser(value)}" if named else os.path.expanduser(word))
    return found


def check_renamed(words: list[str]) -> None:
    """Raise an error with the new spelling if the words of a command line include an option of version 0.1."""
    for word in words:
        old, dot, field = word.partition("=")[0].removeprefix("--").partition(".")
        if word.startswith("--") and not dot and old in RENAMED_OPTIONS:
            raise PotstillError(f"--{old} is now --{RENAMED_OPTIONS[old]}")
        if word.startswith("--") and dot and old in RENAMED_SECTIONS:
            field = "initialisation" if (old, field) == ("kernel", "start") else field
            raise PotstillError(f"{word.partition('=')[0]} is now --{RENAMED_SECTIONS[old]}.{field}")


@contextmanager
def _one_line_warnings() -> Iterator[None]:
    """Print each of potstill's own warnings once, without Python's file name and line number; leave others as they are.

    A command may read a file several times, and each time its warnings are raised again.
    """
    shown: set[str] = set()
    with warnings.catch_warnings():
        show = warnings.showwarning

        def show_plainly(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if not issubclass(category, PotstillWarning):
                show(message, category, *where, **more)
            elif str(message) not in shown:
                shown.add(str(message))
                print(f"potstill: warning: {message}", file=sys.stderr)

        warnings.simplefilter("always", PotstillWarning)
        warnings.showwarning = show_plainly
        yield


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code.

    Returns 0 on success, 2 after a one-line error, 130 after Ctrl-C, 143 after SIGTERM. Output errors do not stop the
    command. A closed pipe is ignored; after any other error, such as a full disk, the code is 2.
    """
    os.environ["MPLBACKEND"] = "agg"  # figures go to files; a backend that a notebook names may not be installed here
    with safe_streams() as output:
        if os.environ.get("JAX_ENABLE_X64", "0").lower() not in ("", "0", "false", "no", "off", "f", "n"):
            os.environ["JAX_ENABLE_X64"] = "0"  # the same command would give other bytes
            print("potstill: warning: JAX_ENABLE_X64 is ignored: potstill computes in float32", file=sys.stderr)
        code = run(sys.argv[1:] if arguments is None else arguments)
        atexit.unregister(drop_signals)
        atexit.register(drop_signals)  # the last one that is registered is the first one to be called
        output.flush()
        if output.failure is not None and not isinstance(output.failure, BrokenPipeError):
            why = getattr(output.failure, "strerror", None) or output.failure
            print(f"potstill: cannot write to the standard output: {why}", file=sys.stderr)
            code = code or 2
    if code > INTERRUPTED and arguments is None:
        leave(code)
    return code


def leave(code: int) -> NoReturn:
    """End this process after a signal, without the interpreter's own end, in which JAX may crash.

    If an exception ends a compilation, objects of MLIR remain, and the process would die of a segmentation fault.
    """
    atexit._run_exitfuncs()
    os._exit(code)


def run(arguments: list[str]) -> int:
    """Run a command. Every error that a user can cause is one line on the standard error."""
    try:
        with naming_options(), _one_line_warnings(), handling(raise_interrupted):
            words = expand_preset(prepare_words(arguments))
            words, fields = split_part_options(words, PART_REGISTRIES)
            check_renamed(words)
            app = make_app(fields, with_help=bool({"--help", "-h"} & set(words)))
            with busy(" ".join(["potstill", *words[:1]]), sys.stderr):
                app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except Interrupted as interrupted:
        print(f"potstill: {interrupted}", file=sys.stderr)
        return interrupted.exit_code
    except KeyboardInterrupt:  # Ctrl-C before or after the command
        print("potstill: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        line = describe_error(error)
        if line is None:
            raise
        print(f"potstill: {' '.join(line.split())}", file=sys.stderr)
        return 2
    return 0


def describe_error(error: Exception) -> str | None:
    """Describe in one line an invalid input or a failure of the machine. ``None``: the error is a bug in potstill."""
    if isinstance(error, PotstillError | CycloptsError):
        return str(error.__cause__ if isinstance(error.__cause__, PotstillError) else error)
    if isinstance(error, OSError):  # such as a full disk or a missing permission
        where = f"{error.filename}: " if error.filename else ""
        return where + str(error.strerror or error)
    if isinstance(error, MemoryError):
        return f"not enough memory ({error})" if str(error) else "not enough memory"
    if "jax" in sys.modules:
        from potstill.runtime.devices import start_jax

        try:
            start_jax()
        except PotstillError as failure:
            return str(failure)
    return None


if __name__ == "__main__":
    sys.exit(main())
