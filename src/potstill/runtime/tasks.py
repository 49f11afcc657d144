"""Run tasks that depend on one another with an executor. A failed task stops only the tasks that need it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from potstill.errors import are_options_named, describe_first_line, naming_options
from potstill.runtime.executors.base import Executor, Pending
from potstill.runtime.files import JsonObject

POLLING = 0.05  # seconds between two checks of the pending calls


@dataclass(frozen=True)
class Task:
    """A call whose result can be sent to another process."""

    name: str
    label: str
    """Name of the task in messages."""
    needs: tuple[str, ...]
    """Names of tasks that must succeed first."""
    prepare: Callable[[], tuple[object, ...]]
    """Returns the function and its arguments, once all needed tasks have succeeded."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a task: its value, or the reason of its failure."""

    name: str
    value: Any
    """``None`` after a failure."""
    failure: str | None = None


def run_tasks(
    tasks: Sequence[Task],
    executor: Executor,
    watch: Callable[[list[str]], AbstractContextManager[object]] = lambda names: contextlib.nullcontext(),
) -> Iterator[Outcome]:
    """Run all tasks, each after those that it needs, and yield each outcome as soon as it is known.

    Args:
        tasks: a task must come after those that it needs. Needed tasks that are not among them count as finished.
        executor: an open executor.
        watch: returns a context manager for the time in which the tasks with these labels run, until one has ended.

    >>> from potstill.runtime.executors.base import SerialExecutor
    >>> tasks = [Task("a", "a", (), lambda: (dict,)), Task("b", "b", ("a",), lambda: (dict, 3))]
    >>> with SerialExecutor() as executor:
    ...     for outcome in run_tasks(tasks, executor):
    ...         print(outcome.name, outcome.value, outcome.failure)
    a {} None
    b None TypeError: 'int' object is not iterable
    """
    waiting = {task.name: task for task in tasks}
    labels = {task.name: task.label for task in tasks}
    running: dict[str, Pending] = {}
    failed: set[str] = set()
    while waiting or running:
        for name, task in list(waiting.items()):
            broken = next((needed for needed in task.needs if needed in failed), None)
            if broken is not None:
                del waiting[name]
                failed.add(name)
                yield Outcome(name, None, f"needs '{labels[broken]}', which failed")
            elif len(running) < executor.limit and not any(n in waiting or n in running for n in task.needs):
                del waiting[name]
                running[name] = executor.submit(attempt, os.getcwd(), are_options_named(), *task.prepare())
        if running:
            with watch([labels[name] for name in running]):
                name = wait_for_any(running)
                outcome = collect_outcome(name, running.pop(name))
            if outcome.failure is not None:
                failed.add(name)
            yield outcome


def wait_for_any(running: Mapping[str, Pending]) -> str:
    """Wait until a call has ended; return its name."""
    while True:
        for name, pending in running.items():
            if pending.done():
                return name
        time.sleep(POLLING)


def attempt(folder: str, options: bool, function: Callable[..., object], *arguments: object) -> JsonObject:
    """Call a function in the folder that relative paths refer to. Return its value, or the reason of its failure.

    ``options``: whether messages name options of the command line.
    Other processes and machines run this function. Exceptions become text, so that every outcome can be sent back.
    """
    os.chdir(folder)
    try:
        with naming_options(options):
            return {"value": function(*arguments)}
    except Exception as error:  # no error of one task may end the others
        return {"failure": describe_failure(error)}


def describe_failure(error: BaseException) -> str:
    """Return the message of an error, with its type unless it is a :class:`PotstillError`.

    >>> describe_failure(KeyError("x"))
    "KeyError: 'x'"
    """
    name = type(error).__name__
    return str(error) if name == "PotstillError" else f"{name}: {error}"


def collect_outcome(name: str, pending: Pending) -> Outcome:
    """Return the outcome of a call that has ended. The end of its process or machine is a failure, too."""
    try:
        found = pending.result()
    except Exception as error:  # each executor raises exceptions of its own
        reason = f"{type(error).__name__}: {describe_first_line(error)}"
        return Outcome(name, None, f"its process ended unexpectedly: {reason}")
    return Outcome(name, found.get("value"), found.get("failure"))
