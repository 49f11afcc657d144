"""Evaluate a saved policy, such as that of ``potstill finetune``: its returns in the environment."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from potstill.bundled import find_artefact_path
from potstill.commands.encoders import resolve_encoder
from potstill.config import EvaluateConfig
from potstill.config.settings import record_settings, resume_command
from potstill.data.log import NO_ENVIRONMENT
from potstill.data.units import are_same_bounds, find_environment_bounds
from potstill.environments.making import find_plain_id
from potstill.environments.observations.rule import ENTRY, ObservationRule, read_rule
from potstill.environments.references import Reference, find_reference_returns
from potstill.errors import PotstillError, name_option, naming_source
from potstill.evaluation.scores import measure_policy_returns
from potstill.evaluation.statistics import find_return_label, summarise
from potstill.networks.policy import Policy, from_arrays
from potstill.runtime import storage
from potstill.runtime.files import JsonObject, hash_file
from potstill.runtime.interruption import resumable
from potstill.runtime.progress import busy
from potstill.runtime.run import Run
from potstill.runtime.run_folder import RunFolder, check_out

OPTIONS = ("env_id", "encoder", "episodes", "seed", "devices", "out", "resume", "force", "distillate", "download")
"""Options that apply to a policy."""


@dataclass(frozen=True)
class SavedPolicy:
    """A policy of a file, and what the file says about its environment."""

    policy: Policy
    path: Path
    env_id: str
    rule: ObservationRule | None
    reference: Reference


def find_policy_file(source: object) -> Path | None:
    """Find the file of a policy: one in a run folder without a distillate, or the file itself; ``None`` if it is none.

    >>> find_policy_file("no such folder") is None
    True
    """
    if not isinstance(source, str | Path):
        return None
    pairs, path = (find_artefact_path(source, kind) for kind in ("distillate", "policy"))
    if pairs != path and pairs.exists():  # a run folder or a bundled name
        return None
    return path if path.is_file() and storage.read_kind(path) == "policy" else None


def evaluate_policy(config: EvaluateConfig, path: Path) -> Run:
    """Roll a saved policy out, without noise, and write its returns as the result of a run.

    Raises:
        PotstillError: an option applies to students only, the policy does not fit the environment, or there is none.
    """
    for field in fields(config):
        if field.name not in OPTIONS and getattr(config, field.name) != field.default:
            option = name_option(field.name)
            raise PotstillError(f"{path} is a policy, and no distillate: {option} applies to students")
    settings = record_settings(config)
    check_out(config.out, "evaluate", settings, force=config.force, resume=config.resume)
    saved = read_policy(config, path)
    with RunFolder(config.out, "evaluate", settings, force=config.force, resume=config.resume) as folder:
        digest = hash_file(path)
        folder.check_inputs(policy=digest)
        with resumable(resume_command("evaluate", config, folder.target)), busy(f"{config.episodes} episodes"):
            found = folder.compute_once("policy", lambda: measure(config, saved))
        result: JsonObject = {"env_id": saved.env_id, "reference": saved.reference._asdict(), "policy": found}
        folder.finish(result | {"warnings": [], "sha256": digest})
        spread = f" ± {found['std']:.1f}" if found["episodes"] > 1 else ""
        print(
            f"{path} in {saved.env_id}: {find_return_label(result)} {found['mean']:.1f}{spread} in "
            f"{found['episodes']} episodes"
        )
        print(f"results in {folder.path}")
    return folder.run


def measure(config: EvaluateConfig, saved: SavedPolicy) -> JsonObject:
    """Measure the returns of a policy, and summarise them."""
    given = saved.env_id, config.episodes, config.seed, saved.rule
    return dict(summarise(measure_policy_returns(saved.policy, *given), saved.reference))


def read_policy(config: EvaluateConfig, path: Path) -> SavedPolicy:
    """Read a policy and the environment that the user or its file names, and check that they fit.

    Raises:
        PotstillError: the file is damaged, there is no environment, or the policy has other sizes or bounds.
    """
    arrays, metadata = storage.load(path, "policy")
    policy, stored = from_arrays(arrays, metadata, path), metadata.get("env_id")
    env_id = stored if config.env_id is None else config.env_id
    if not isinstance(env_id, str) or env_id == NO_ENVIRONMENT:
        raise PotstillError(f"{path}: a policy is evaluated in an environment: name one with {name_option('env_id')}")
    with naming_source(path):
        env_id = env_id if config.env_id is not None else find_plain_id(env_id)
        rule = read_rule(metadata.get(ENTRY), len(policy.normaliser.mean))
        if config.encoder is not None:
            if rule is None:
                raise PotstillError("an encoder is given, but the states are no features of images")
            rule = rule.with_encoder(resolve_encoder(config.encoder))
    bounds, size = policy.action_bounds, len(policy.normaliser.mean)
    own = find_environment_bounds(env_id, size, len(bounds), source=str(path), rule=rule)
    if not are_same_bounds(own, bounds):
        raise PotstillError(f"{path}: its action bounds differ from those of {env_id}")
    return SavedPolicy(policy, path, env_id, rule, read_stored_reference(metadata, env_id, path))


def read_stored_reference(metadata: JsonObject, env_id: str, path: Path) -> Reference:
    """Read the reference returns of a policy's file, if they are those of this environment."""
    stored = metadata.get("reference")
    if stored is None or metadata.get("env_id") != env_id:
        return find_reference_returns(env_id)
    try:
        return Reference(**stored)
    except (TypeError, PotstillError):
        raise PotstillError(f"{path}: invalid reference {str(stored)[:40]}") from None
