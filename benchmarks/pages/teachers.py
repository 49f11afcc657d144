"""Tables and figure of the teachers: scores, early stopping, and criteria for the selection of a policy."""

from __future__ import annotations

from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.experiments import load_records
from benchmarks.experiments.teachers import PATIENCE
from benchmarks.files import FILES, find_teacher_entry
from benchmarks.grid import Record
from benchmarks.pages.text import make_table, select_records
from potstill.reports.plots import BLUE, GREEN, GREY, ORANGE, make_figure, save_figure

# Final scores on D4RL's own files, published with CORL; Cal-QL's are those of the distillation paper.
PUBLISHED = {
    "ReBRAC": (64.0, 51.2, 103.8, 102.3, 95.0, 109.5, 85.8, 84.3, 111.9),
    "IQL": (48.3, 44.5, 94.7, 67.5, 97.4, 107.4, 80.9, 82.2, 111.7),
    "Cal-QL": (47.6, 45.8, 50.8, 56.4, 98.0, 107.3, 84.0, 87.4, 109.0),
    "EDAC": (67.7, 62.1, 104.8, 101.7, 99.7, 105.2, 93.4, 87.1, 114.8),
}
ORDER = [
    f"{b}-{x}" for b in ("halfcheetah", "hopper", "walker2d") for x in ("medium", "medium-replay", "medium-expert")
]
COLOURS = {"bc": GREY, "rebrac": BLUE, "iql": ORANGE, "cal-ql": GREEN, "edac": "#7d5ba6"}
NAMES = {"rebrac": "ReBRAC", "iql": "IQL"}
SLOWER = {"cal-ql": "Cal-QL", "edac": "EDAC"}
LABELS = {"bc": "BC"} | NAMES | SLOWER
USUAL_RATE = 0.005  # of target networks, in the literature
HEAD = f"""\
Experiment `teachers`: `potstill teach` on every file. ReBRAC and IQL trained until the pessimistic value estimate
(fitted Q-evaluation with a penalty for leaving the data's actions; no environment) had not risen for {PATIENCE}
evaluations, 10,000 updates apart, or until 200,000 updates. The teacher with the highest estimate was saved; *updates*
gives its number of updates and that of the whole run. BC had at most 30,000. Scores are means of 20 episodes at the
end; ± is over seeds or, for a single seed, over episodes. *Weights*: the run with the highest return, whose weights are
in `results/weights`; ° marks runs with the usual target rate of {USUAL_RATE}."""
SLOWER_HEAD = "The slower algorithms had far fewer updates than the million or more of their papers:"
STATE_SETS = {"starts": "initial states", "states": "all states"}  # by their names in the records
PICTURE = "![Learning curves](images/teachers.png)"
STOPPING_HEAD = """\
The runs of ReBRAC and IQL above: mean return of the ten episodes of an evaluation. The columns are the evaluation with
the highest pessimistic value estimate (which is saved), the one with the highest fitted value without pessimism, the
last one, and the one with the highest return, which is biased upwards by the selection. The first evaluation of a run
is not considered."""
CRITERIA_HEAD = """\
Experiment `criteria`: ten policies from each training run are rolled out for ten episodes, and fitted Q-evaluation is
applied to them one after the other. *Correlation*: between estimates and returns. *Horizon*: relative to 1 / (1 − γ) of
the training. The last row is the pessimistic value estimate that potstill uses; it was chosen by this table."""


def load_nine_records() -> list[Record]:
    """The records of the nine files."""
    return [record for record in load_records("teachers") if record["file"] in FILES]


def select_complete_runs(entries: list[Record]) -> list[Record]:
    """The runs that did not diverge."""
    return [entry for entry in entries if "final" in entry]


def format_score(entries: list[Record]) -> str:
    """Mean over seeds; ± over seeds or, for one seed, over its episodes; the number of diverged runs."""
    found = select_complete_runs(entries)
    if not found:
        return f"diverged ({len(entries)})" if entries else "–"
    means = [entry["final"]["mean"] for entry in found]
    spread = np.std(means, ddof=1) if len(means) > 1 else found[0]["final"]["std"]
    seeds = f"{len(means)} seed{'s' if len(means) > 1 else ''}"
    lost = f", {len(entries) - len(means)} diverged" if len(entries) > len(means) else ""
    return f"{np.mean(means):.1f} ± {spread:.1f} ({seeds}{lost})"


def format_updates(entries: list[Record]) -> str:
    """Thousands of updates of the selected teachers, and of their whole runs."""
    found = [f"{e['updates'] // 1000} of {e['history'][-1]['update'] // 1000}k" for e in select_complete_runs(entries)]
    return ", ".join(found) or "–"


def format_weights_label(file: str) -> str:
    """Algorithm and score of the run whose weights are committed; ° marks one with the literature's target rate."""
    entry = find_teacher_entry(file, "highest-return")
    mark = "°" if entry["target_rate"] == USUAL_RATE else ""
    return f"{LABELS[entry['algorithm']]}{mark}, {entry['return']:.1f}"


def teachers() -> str:
    """A row for each file: the data, BC, ReBRAC, IQL, the committed weights, published scores."""
    heads = ("file", "rows", "data: mean, best", "BC", "ReBRAC", "updates", "IQL", "updates", "weights")
    lines = []
    for file in FILES:
        found = {name: select_records(load_nine_records(), file=file, method=name) for name in ("bc", *NAMES)}
        data = found["bc"][0]["data"]
        others = ", ".join(f"{scores[ORDER.index(file)]}" for scores in PUBLISHED.values())
        trained = [text for name in NAMES for text in (format_score(found[name]), format_updates(found[name]))]
        of_data = [f"{data['rows']:,}", f"{data['mean']:.1f}, {data['best']:.1f}"]
        lines.append([file, *of_data, format_score(found["bc"]), *trained, format_weights_label(file), others])
    main = make_table((*heads, f"published {', '.join(PUBLISHED)}"), lines)
    return "\n\n".join([HEAD, main, SLOWER_HEAD, slower(), PICTURE])


def slower() -> str:
    """A row for each run of the algorithms that take an hour or more."""
    lines = []
    for name, label in SLOWER.items():
        for file in FILES:
            if not (found := select_records(load_nine_records(), file=file, method=name)):
                continue
            others = [
                e
                for other in NAMES
                for e in select_complete_runs(select_records(load_nine_records(), file=file, method=other))
            ]
            best = max(entry["final"]["mean"] for entry in others)
            rate = np.median([entry["updates_per_second"] for entry in select_complete_runs(found)])
            scores = [format_score(found), format_updates(found), f"{rate:.0f}", f"{best:.1f}"]
            lines.append([file, label, *scores, f"{PUBLISHED[label][ORDER.index(file)]}"])
    heads = (
        "file",
        "algorithm",
        "score",
        "updates",
        "updates per second, one core",
        "best of ReBRAC and IQL",
        "published",
    )
    return make_table(heads, lines)


def stopping() -> str:
    """Returns of the evaluations that offline criteria select, of the last and of the best evaluation."""
    lines, at_limit = [], []
    for name, label in NAMES.items():
        found = [entry["history"] for entry in select_complete_runs(select_records(load_nine_records(), method=name))]
        ends = np.mean([history[-1]["update"] for history in found])
        returns = [
            [max(history[1:], key=itemgetter(by))["return"] for history in found]
            for by in ("estimate", "fitted_value", "return")
        ]
        returns.insert(2, [history[-1]["return"] for history in found])
        lines.append([label, str(len(found)), f"{ends:,.0f}", *(f"{np.mean(means):.1f}" for means in returns)])
        limited = [history for history in found if history[-1]["update"] >= 200_000]
        if gains := [gain for gain in map(compute_late_gain, limited) if gain > 0.0]:
            at_limit.append(f"{len(gains)} of {label}, by {100 * np.median(gains):.1f} % in the median")
    heads = ("algorithm", "runs", "updates per run", "by the estimate", "by the fitted value", "last")
    shown = f"{STOPPING_HEAD}\n\n{make_table((*heads, 'best in hindsight'), lines)}"
    late_gains_text = (
        f"Runs that ended at the limit of 200,000 updates, because the estimate had risen within the last {PATIENCE}\n"
        f"evaluations: {'; '.join(at_limit)}."
    )
    return f"{shown}\n\n{late_gains_text}" if at_limit else shown


def compute_late_gain(history: list[dict[str, Any]]) -> float:
    """Relative increase of the estimate in the last ``PATIENCE`` evaluations; without one the run would have ended."""
    before, late = (max(entry["estimate"] for entry in part) for part in (history[1:-PATIENCE], history[-PATIENCE:]))
    return float((late - before) / abs(before))


def criteria() -> str:
    """Correlation of each criterion's estimates with returns, and the return of the policy it ranks first."""
    found = load_records("criteria")
    trainings = "; ".join(f"{LABELS[entry['method']]} on {entry['file']}" for entry in found)
    end, best = (np.mean([pick(entry["returns"]) for entry in found]) for pick in (itemgetter(-1), max))
    intro = (
        f"Mean over {len(found)} trainings: {trainings}.\n"
        f"Mean score of the last policies: {end:.1f}; of the best in hindsight: {best:.1f}."
    )
    lines = []
    for name in sorted(found[0]["criteria"], key=lambda name: (name[0] != "3", name)):
        values = [(np.array(entry["criteria"][name]), np.array(entry["returns"])) for entry in found]
        fit = np.mean([np.corrcoef(value, earned)[0, 1] for value, earned in values])
        first = np.mean([earned[value.argmax()] for value, earned in values])
        horizon, pessimism, states = name.split(", ")
        lines.append([horizon, pessimism, STATE_SETS[states], f"{fit:.2f}", f"{first:.1f}"])
    heads = ("horizon", "pessimism", "averaged over", "correlation", "return of the policy ranked first")
    return "\n\n".join([CRITERIA_HEAD, intro, make_table(heads, lines)])


def draw(path: Path) -> None:
    """Learning curves of all runs with several evaluations."""
    figure, axes = make_figure(3, height=2.6, width=3.6, rows=-(-len(FILES) // 3))
    for axis, file in zip(np.atleast_1d(axes).flat, FILES, strict=True):
        for name, colour in COLOURS.items():
            for entry in select_records(load_nine_records(), file=file, method=name):
                history = entry.get("history", [])
                if len(history) > 1:  # a single evaluation is no curve; the table has it
                    points = [h["update"] / 1000 for h in history], [h["return"] for h in history]
                    axis.plot(*points, color=colour, label=LABELS[name], linewidth=1.2)
        axis.set_title(file, fontsize=9)
        axis.set_xlabel("thousand updates", fontsize=8)
    drawn = [axis.get_legend_handles_labels() for axis in np.atleast_1d(axes).flat]
    handles = {label: handle for lines, labels in drawn for handle, label in zip(lines, labels, strict=True)}
    shown = [label for label in LABELS.values() if label in handles]
    title = "a line is a training run"
    lines = [handles[label] for label in shown]
    figure.legend(lines, shown, title=title, loc="outside upper center", ncols=len(shown), fontsize=8, frameon=False)
    figure.supylabel("normalised return, mean of ten episodes", fontsize=9)
    save_figure(figure, path)
