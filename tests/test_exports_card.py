"""The dataset card of an export: its facts, and the code in it."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import potstill
from potstill.data.bounds import ActionBounds
from potstill.data.scaling import Scaling
from potstill.exports.card import format_card


@pytest.fixture(scope="module")
def distillate():
    """The bundled distillate with other action bounds, so that a mistaken ±1 shows."""
    bundled = potstill.load("hopper-medium-replay")
    return replace(
        bundled,
        scaling=Scaling(
            bundled.normaliser, ActionBounds(np.array([-1, -2, -3], np.float32), np.array([1, 2, 4], np.float32))
        ),
    )


def test_facts_of_the_card(distillate):
    text, metadata = format_card(distillate), distillate.metadata
    for fact in (
        *("hopper-medium-replay", metadata["dataset"]["sha256"], "199,999 rows"),
        *("rebrac", metadata["teacher"]["sha256"], "Objective: q-gap", "Solver: kernel", "Student recipe: default"),
        *(
            "    potstill distill hopper-medium-replay --states data\n",
            "Environment: Hopper-v5",
            "not trajectories",
            "license:",
        ),
    ):
        assert fact in text, fact
    yaml = pytest.importorskip("yaml")
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["pretty_name"] == "hopper-medium-replay, distilled to 256 pairs"
    assert head["size_categories"] == ["n<1K"]
    assert head["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-00000-of-00001.parquet"}]
    assert head["license"] == "unknown"


def test_card_with_minimal_metadata(distillate):
    names = {"dataset": "my: 'own'\ndata", "objective": "dbc", "solver": "unroll", "potstill": "0", "env_id": None}
    text = format_card(replace(distillate, metadata=names | {"recipe": "reference"}))
    assert "Environment: none" in text
    assert "Teacher: none" in text
    assert "imitates that dataset." in text
    assert "clones with actions sampled from a tanh-Gaussian, which the code below omits" in text
    assert "# my: 'own' data, distilled" in text
    assert "pretty_name: \"my: 'own' data, distilled to 256 pairs\"\n" in text


def test_code_of_the_card_trains_a_student(tmp_path, distillate, monkeypatch):
    pytest.importorskip("pyarrow")
    torch = pytest.importorskip("torch")
    student = potstill.Recipe(steps=300, learning_rate=0.03, momentum=0.9, width=64, towers=8).to_metadata()
    distillate = replace(distillate, metadata={**distillate.metadata, "student": student})
    folder = potstill.export(distillate, tmp_path / "hopper", "parquet")
    code = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), flags=re.S)
    assert code is not None
    monkeypatch.chdir(folder)
    torch.manual_seed(0)
    found: dict[str, Any] = {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for one another's cores cost minutes
    exec(compile(code.group(1), "README.md", "exec"), found)
    torch.set_num_threads(threads)

    def error(policy):
        span = distillate.action_bounds.high - distillate.action_bounds.low
        return np.mean(((policy(distillate.states) - distillate.actions) / span) ** 2)

    ours = [error(distillate.train_student(seed=seed)) for seed in range(5)]  # initialisations differ
    assert 0.7 * min(ours) < error(found["policy"]) < 1.3 * max(ours)
    assert error(found["policy"]) < 0.1 * error(lambda states: distillate.actions.mean(axis=0))


def test_the_card_of_adam_students(distillate):
    text = format_card(replace(distillate, metadata={**distillate.metadata, "student": {"optimiser": "adam"}}))
    assert "steps of Adam on the mean squared error of all pairs at once, with learning rate\n   0.1." in text
    assert "torch.optim.Adam(towers.parameters(), lr=0.1, eps=1e-06)" in text
    text = format_card(replace(distillate, metadata={**distillate.metadata, "student": {"optimiser": "adamw"}}))
    assert (
        "steps of AdamW on the mean squared error of all pairs at once, with learning rate\n   0.1 and weight" in text
    )
    assert "torch.optim.AdamW(towers.parameters(), lr=0.1, eps=1e-06, weight_decay=0.01)" in text
