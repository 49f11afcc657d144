"""The settings of ``potstill distill`` as they are stored in distillates and, in version 0.1, in ``config.json``.

The form in distillates does not change, so the same settings still give the same file.
"""

from __future__ import annotations

from potstill.config.private import DEPENDENT
from potstill.config.reading import LATER_OPTIONS
from potstill.errors import PotstillError
from potstill.runtime.files import JsonObject

# A section for the fields of each solver.
SECTIONS: dict[str, JsonObject] = {
    "kernel": {"start": "zero"},
    "empirical": {"networks": 1},
    "ridge": {"penalty": 1e-3},
    "features": {"networks": 4, "trained": 0, "penalty": 1e-3},
    "unroll": {"window": None, "random_window": False},
}
SECTION_OF = {**{name: name for name in SECTIONS}, "sweep": "unroll"}
LATER_FIELDS = {
    "max_steps": None,
    "states": "data",
    "world": None,
    "labels": "learned",
    "rollout_steps": 0,
    "rollout_noise": 0.0,
    "preset": None,
    "private_noise": None,
    **DEPENDENT,
    **LATER_OPTIONS,
}
"""Fields that files of version 0.1 do not have, with their defaults. They are stored if they have another value."""
STORED_NAMES = {"initialisation": "start", "initialisations": "starts"}


def to_stored(recorded: JsonObject) -> JsonObject:
    """Convert the settings in ``config.json`` to the form in distillates."""
    solver = recorded["solver"]
    sections = {name: dict(section) for name, section in SECTIONS.items()}
    if isinstance(solver, dict) and solver.get("name") in SECTION_OF:
        fields = {STORED_NAMES.get(str(k), str(k)): v for k, v in solver.items() if k != "name"}
        sections[SECTION_OF[solver["name"]]] |= fields
        recorded = {**recorded, "solver": solver["name"]}
    if len(recorded["action_scale"]) == 1:  # version 0.1 had one factor for all components
        recorded = {**recorded, "action_scale": recorded["action_scale"][0]}
    unset = {name for name, default in LATER_FIELDS.items() if recorded[name] == default}
    unset |= {"out", "force", "resume", "track"}
    if recorded["states"] != "data":
        unset -= {"labels", "rollout_steps", "rollout_noise"}  # their defaults depend on the states
    return {**{STORED_NAMES.get(name, name): x for name, x in recorded.items() if name not in unset}, **sections}


def from_stored(saved: JsonObject) -> JsonObject:
    """Convert the settings in a ``config.json`` of any version to the current fields."""
    saved = {"states": "data", **{new: saved[old] for new, old in STORED_NAMES.items() if old in saved}, **saved}
    name = saved.get("solver")
    if isinstance(name, str) and name in SECTION_OF:
        section, own_names = saved.get(SECTION_OF[name], {}), {v: k for k, v in STORED_NAMES.items()}
        if not isinstance(section, dict):
            raise PotstillError(f"config.json: '{SECTION_OF[name]}' is {section!r}, expected the fields of a solver")
        usual = SECTIONS[SECTION_OF[name]]
        fields = {own_names.get(k, k): v for k, v in section.items() if v != usual.get(k)}
        saved["solver"] = {"name": name, **fields} if fields else name
    return saved
