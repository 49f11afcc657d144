"""Teachers for the nine files: algorithms × files × seeds, each one ``potstill teach``.

ReBRAC and IQL train until their pessimistic value estimate has not risen for four evaluations; the slower algorithms
have small budgets, and behavioural cloning is the reference. Every teacher is evaluated in twenty episodes. An
interrupted run resumes from its checkpoint. The teacher of each file with the highest return is in ``results/weights``;
it is copied there by hand.
"""

from __future__ import annotations

from typing import Any

import potstill
from benchmarks.experiments.distilling import shorten_summary, strip_folders
from benchmarks.experiments.parts import fit_pessimistic_value, teach_command, teach_options
from benchmarks.files import BUNDLED, FILES, Workspace
from benchmarks.grid import Cell, Experiment, Record, make_product
from potstill.data.transitions import Transitions
from potstill.environments.references import normalised_return
from potstill.evaluation.scores import measure_policy_returns
from potstill.evaluation.statistics import summarise
from potstill.runtime.files import read_json

Options = dict[str, Any]
# ReBRAC's actor and critic penalties: the published ones for medium-replay of Hopper and HalfCheetah and for
# hopper-medium-expert, larger ones for all others. On a tenth of D4RL's rows, the published penalties are too small:
# the policy takes actions far from the data (on halfcheetah-medium with 0.001 and 0.01, the score fell to 1 and then
# recovered to 35) or training diverges.
PENALTIES = {
    BUNDLED: (0.05, 0.5),
    "hopper-medium-replay": (0.05, 0.5),
    "hopper-medium": (0.1, 0.1),
    "hopper-medium-expert": (0.1, 0.01),
    "halfcheetah-medium-replay": (0.01, 0.001),
    "halfcheetah-medium": (0.1, 0.1),
    "halfcheetah-medium-expert": (0.1, 0.1),
    "walker2d-medium-replay": (0.1, 0.1),
    "walker2d-medium": (0.4, 0.1),
    "walker2d-medium-expert": (0.4, 0.1),
}
# Number of evaluations without a higher estimate after which training stops. Evaluations are 10,000 updates apart and
# should not be much closer together: on halfcheetah-medium-replay, ReBRAC's estimate falls at first and exceeds its
# initial value only after 24,000 updates (experiment `criteria`).
PATIENCE = 4
EPISODES, EPISODE_SEED = 20, 70  # of the final evaluation; the learning curve uses other episodes
MAIN = ("rebrac", "iql")
EDAC_UPDATES = {"halfcheetah-medium-replay": 60_000, "walker2d-medium": 20_000}
TOY: Options = {"updates": 20, "batch": 16, "evaluate_every": 10, "episodes": 1, "fitted_updates": 0, "patience": None}


def make_options(method: str, file: str) -> Options:
    """The options of ``potstill teach`` for an algorithm on a file."""
    penalties = dict(zip(("actor_penalty", "critic_penalty"), PENALTIES[file], strict=True))
    if method == "rebrac":
        return {"algorithm": "rebrac", "algorithm_fields": penalties, "updates": 200_000, "patience": PATIENCE}
    updates = {
        "iql": 200_000,
        "bc": 30_000,
        "cal-ql": 50_000 if file.endswith("replay") else 10_000,
        "edac": EDAC_UPDATES.get(file, 20_000),
    }
    patient: Options = {"patience": PATIENCE} if method in ("iql", "bc") else {}
    return {"algorithm": method, "updates": updates[method], **patient}


def describe_inputs(cell: Cell) -> Record:
    """The options."""
    return {"options": make_options(cell.method, cell.file), "episodes": EPISODES}


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Train a teacher and roll it out. Divergence is recorded, too."""
    chosen = teach_options(make_options(cell.method, cell.file)) | (TOY if workspace.toy else {}) | {"seed": cell.seed}
    folder = workspace.find_folder(cell.file, cell.method, cell.seed)
    dataset = workspace.find_dataset(cell.file)
    if not (folder / "result.json").exists():
        try:
            potstill.teach(dataset, out=folder, resume=True, **chosen)
        except potstill.PotstillError as error:
            if "diverged" not in str(error):
                raise
            return {"failed": str(error)}
    result = read_json(folder / "result.json")
    teacher, data = potstill.load_teacher(folder / "teacher.safetensors"), potstill.load_dataset(dataset)
    assert data.env_id is not None
    returns = measure_policy_returns(teacher.policy, data.env_id, 1 if workspace.toy else EPISODES, EPISODE_SEED)
    return {
        "final": shorten_summary(summarise(returns, data.env_id)),
        **({} if workspace.toy else {"estimate": fit_pessimistic_value(teacher, data, cell.seed)}),
        "updates": result["updates"],
        "history": [shorten_evaluation(entry) for entry in result["history"]],
        "updates_per_second": result["updates_per_second"],
        "data": score_data(data),
        "sha256": result["sha256"],
        "command": strip_folders(teach_command(dataset, chosen)),
    }


def shorten_evaluation(entry: Record) -> Record:
    """Select the fields of an evaluation during training that pages use."""
    names = {"update": "update", "mean": "return", "pessimistic_value": "estimate", "fitted_value": "fitted_value"}
    return {new: entry[old] for old, new in names.items() if old in entry}


def score_data(data: Transitions) -> dict[str, float]:
    """Normalised returns of the episodes in the data."""
    assert data.env_id is not None
    scores = normalised_return(data.episode_returns(), data.env_id)
    return {"rows": len(data), "episodes": len(scores), "mean": float(scores.mean()), "best": float(scores.max())}


EXPERIMENT = Experiment(
    "teachers",
    "teachers of the nine files by five algorithms",
    (
        *make_product(MAIN, FILES, (0, 1, 2)),
        *make_product(("bc", "cal-ql"), FILES, (0,)),
        *make_product(("edac",), EDAC_UPDATES, (0,)),
    ),
    describe_inputs,
    measure,
    extra=make_product((*MAIN, "bc", "cal-ql", "edac"), (BUNDLED,), (0, 1, 2)),
    toy=(Cell("bc", BUNDLED),),
)
