"""The privacy of ``potstill distill --private-noise``: its statement, and the noise that nobody can repeat."""

from __future__ import annotations

import dataclasses
import secrets

import jax

from potstill.bundled import list_bundled_names
from potstill.config import DistillConfig
from potstill.data.split import split_episodes
from potstill.data.transitions import Transitions
from potstill.distillation.private import SECRET_BITS, PrivateGradients, find_episodes
from potstill.errors import PotstillError, name_option
from potstill.evaluation.privacy.accounting import NOT_COVERED, check_accountant, describe_privacy
from potstill.runtime import devices
from potstill.runtime.files import JsonObject
from potstill.runtime.progress import busy
from potstill.runtime.run_folder import PARTS, RunFolder
from potstill.teachers.base import NetworkTeacher
from potstill.teachers.rows import check_order

CHECKPOINT = "checkpoint.safetensors"


@dataclasses.dataclass(frozen=True)
class Privacy:
    """How a distillation is private, and what that means."""

    gradients: PrivateGradients
    statement: JsonObject
    """See :func:`~potstill.evaluation.privacy.accounting.describe_privacy`."""

    def with_secret(self, folder: RunFolder) -> Privacy:
        """Take the secret of a run, so that a resumed run goes on with the same noise.

        Only an unfinished run holds its secret: a finished one has lost it.

        Raises:
            PotstillError: the run has taken steps, but has lost its secret.
        """
        if "secret" not in folder.parts and (folder.path / CHECKPOINT).exists():
            raise PotstillError(
                f"{folder.path}: the secret of its noise is gone from {PARTS}: it cannot be resumed, only "
                f"repeated with {name_option('force', True)}"
            )
        secret = folder.compute_once("secret", lambda: secrets.token_hex(SECRET_BITS // 8))
        try:
            number = int(secret, 16)
        except (TypeError, ValueError):
            raise PotstillError(f"{folder.path}: the secret of its noise in {PARTS} is damaged") from None
        return dataclasses.replace(self, gradients=dataclasses.replace(self.gradients, secret=number))

    def print_statement(self, data: Transitions, teacher: NetworkTeacher) -> None:
        """Print what is private and what is not."""
        record = self.statement
        print(f"privacy: {record['statement']}", flush=True)
        print(
            f"  noise {record['noise']:g}, clip {record['clip']:g}, {record['expected']} of {record['episodes']} "
            f"episodes in a step, {record['steps']} steps"
        )
        if teacher.metadata.get("dataset_hash") == data.content_hash:
            print("  the teacher was trained on the same data, and is not private")
        print(f"  {NOT_COVERED}", flush=True)


def check_requirements(config: DistillConfig) -> None:
    """Check what a private distillation requires besides its options, before any data are read.

    Raises:
        PotstillError: there is no teacher, the accountant is not installed, or there are several devices.
    """
    if config.private_noise is None:
        return
    if config.private_noise:
        check_accountant()
    if config.teacher is None and str(config.dataset) not in list_bundled_names():
        raise PotstillError(
            f"{name_option('private_noise')} requires {name_option('teacher')}: one that this run trains on the "
            "data would not be private"
        )
    if jax.process_count() > 1 or devices.find_all_devices().size > 1:
        raise PotstillError(
            f"{name_option('private_noise')} runs in one process on one device: choose {name_option('devices', 1)}"
        )


def make_privacy(config: DistillConfig, data: Transitions) -> Privacy | None:
    """Make the private gradients of a config and their statement; ``None`` without ``--private-noise``.

    Raises:
        PotstillError: rows are not in the order of their episodes, or there are too few episodes.
    """
    if config.private_noise is None:
        return None
    check_order(data, name_option("private_noise"), alternative="")
    episodes = len(data.episode_bounds) - 1
    if config.private_episodes > episodes:
        raise PotstillError(
            f"{name_option('private_episodes', config.private_episodes)}: {data.name} has only {episodes} episodes to "
            "protect"
        )
    first, length = find_episodes(split_episodes(data.episode_bounds)[0], data.episode_bounds)
    given = {"noise": config.private_noise, "expected": config.private_episodes, "clip": config.private_clip}
    gradients = PrivateGradients(first, length, **given)  # type: ignore[arg-type]
    delta = 1.0 / (10 * episodes) if config.private_delta is None else config.private_delta
    with busy("computing epsilon"):
        return Privacy(gradients, describe_privacy(gradients, config.given_steps or 0, delta))
