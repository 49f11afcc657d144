"""The pictures of finished runs, as figure elements. What bands, bars and dots are is said in each picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from potstill.evaluation.maps import Plane
from potstill.reports.drawing import BLUE, GREEN, GREY, ORANGE, VIOLET, drawing, make_figure_block
from potstill.reports.markup import make_image_block
from potstill.reports.plots import make_figure
from potstill.reports.runs.record import RunRecord
from potstill.reports.states import COUNT, choose_states
from potstill.reports.text import format_number

COLOURS = {"teacher": ORANGE, "bc": VIOLET, "random": GREY, "student": BLUE, "ensemble": GREEN}
LABELS = {
    "teacher": "teacher",
    "bc": "behavioural cloning, all data",
    "random": "random real pairs",
    "student": "one student",
    "ensemble": "ensemble of students",
}
WIDTH, HEIGHT = 5.0, 3.3
BAR = 0.65  # opacity of bars, on which lines are drawn
LONGEST = 26  # characters of a label
MAX_LOSSES = 400  # points of the curve of losses


def clip_label(text: str) -> str:
    """Shorten a name to a label of a picture, in the middle.

    >>> clip_label("a" * 20 + "b" * 20)
    'aaaaaaaaaaaaa…bbbbbbbbbbbb'
    """
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]}…{text[len(text) - (LONGEST - half - 1) :]}"


def draw_comparison(records: Sequence[RunRecord]) -> str:
    """Draw the interquartile means of all policies of all runs with their intervals, a group for each run."""
    shown = [record for record in records if any("interval" in record.scores.get(k, {}) for k in COLOURS)]
    if len(shown) < 2:
        return ""
    lines = [(r, k) for r in shown for k in COLOURS if "interval" in r.scores.get(k, {})]
    with drawing():
        figure, axis = make_figure(height=1.3 + 0.17 * len(lines) + 0.3 * len(shown), width=WIDTH)
        place, ticks, used = 0.0, [], set()
        for record in shown:
            first = place
            for kind in (k for r, k in lines if r is record):
                score, colour = record.scores[kind], COLOURS[kind]
                low, high = score["interval"]
                axis.barh(
                    place, score["iqm"], 0.8, color=colour, alpha=BAR, label=None if kind in used else LABELS[kind]
                )
                axis.plot([low, high], [place, place], color=axis.xaxis.label.get_color(), linewidth=1.3)
                used.add(kind)
                place += 1.0
            ticks.append(0.5 * (first + place - 1.0))
            place += 1.2
        axis.set_yticks(ticks, [f"{clip_label(r.title)}\n{clip_label(r.name)}" for r in shown])
        axis.invert_yaxis()
        axis.grid(visible=False, axis="y")
        axis.set(xlabel=f"{_join_labels(shown)}\n(bar = interquartile mean, line = 95 % interval)")
        figure.legend(loc="outside upper left", ncols=2, frameon=False)
    said = "; ".join(f"{r.name}, {LABELS[k]}: {r.scores[k]['iqm']:.1f}" for r, k in lines)
    caption = "Intervals resample policies and their episodes; they do not include other distillation seeds."
    return make_figure_block(figure, "comparison", f"Bars of interquartile means. {said}.", caption)


def _join_labels(records: Sequence[RunRecord]) -> str:
    return " or ".join(sorted({record.label for record in records}))


def draw_imitation(records: Sequence[RunRecord]) -> str:
    """Draw the imitation error of each run relative to that of the best constant action."""
    shown = [r for r in records if "imitation_error" in r.offline and r.offline.get("teacher_variance")]
    if len(shown) < 2:
        return ""
    with drawing():
        figure, axis = make_figure(height=0.9 + 0.42 * len(shown), width=WIDTH)
        shares = [_compute_shares(record) for record in shown]
        axis.barh(range(len(shown)), [mean for mean, _ in shares], 0.6, color=BLUE, alpha=BAR)
        for i, (mean, std) in enumerate(shares):
            axis.plot([mean - std, mean + std], [i, i], color=axis.xaxis.label.get_color(), linewidth=1.3)
        axis.axvline(1.0, color=GREY, linestyle="--", linewidth=1.2)
        axis.set_yticks(range(len(shown)), [f"{clip_label(r.title)}\n{clip_label(r.name)}" for r in shown])
        axis.invert_yaxis()
        axis.grid(visible=False, axis="y")
        axis.set(
            xlim=(0, 1.05),
            xlabel="imitation error / that of the best constant action\n(bar = mean, line = ± 1 std over students)",
        )
    said = "; ".join(f"{r.name}: {mean:.2f}" for r, (mean, _) in zip(shown, shares, strict=True))
    caption = "0 is the teacher itself; the dashed line is the best constant action."
    return make_figure_block(figure, "imitation", f"Bars of relative imitation errors. {said}.", caption)


def _compute_shares(record: RunRecord) -> tuple[float, float]:
    error, variance = record.offline["imitation_error"], record.offline["teacher_variance"]
    return error["mean"] / variance, error["std"] / variance


def draw_return_curve(record: RunRecord, name: str) -> str:
    """Draw returns over outer steps and seconds. Nothing is drawn for a single point."""
    curve = [point for point in record.result.get("curve") or () if "student" in point]
    if len(curve) < 2:
        return ""
    steps, mean, std, seconds = (
        np.array([point[key] for point in curve], np.float64) for key in ("step", "student", "student_std", "seconds")
    )
    ensemble = [point["ensemble"] for point in curve]
    with drawing():
        figure, axis = make_figure(height=HEIGHT, width=WIDTH)
        axis.fill_between(
            steps, mean - std, mean + std, color=BLUE, alpha=0.2, linewidth=0, label="± 1 std over students"
        )
        axis.plot(steps, mean, "o-", color=BLUE, markersize=4, label="one student")
        axis.plot(steps, ensemble, "s--", color=GREEN, markersize=4, label="ensemble")
        _draw_levels(axis, record)
        axis.set(xlabel="outer steps", ylabel=record.label)
        axis.set_ylim(bottom=min(0.0, float((mean - std).min())) if record.is_normalised else None)
        _add_seconds(axis, steps, seconds)
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    alt = (
        f"Line plot over steps {steps[0]:.0f} to {steps[-1]:.0f}: one student's {record.label} goes from {mean[0]:.4g} "
        f"to {mean[-1]:.4g}, the ensemble's from {ensemble[0]:.4g} to {ensemble[-1]:.4g}."
    )
    caption = "Return over the distillation. Each point has few students and episodes, so it is noisy."
    return make_figure_block(figure, name, alt, caption)


def _draw_levels(axis: Axes, record: RunRecord) -> None:
    for kind, line in (("teacher", "-"), ("random", ":")):
        if kind in record.scores:
            axis.axhline(record.scores[kind]["mean"], color=COLOURS[kind], linestyle=line, label=LABELS[kind])


def _add_seconds(axis: Axes, steps: Float[np.ndarray, " P"], seconds: Float[np.ndarray, " P"]) -> None:
    """Add an axis with the seconds at the points at the top."""
    if not (np.diff(steps) > 0).all():
        return
    top = axis.secondary_xaxis("top")
    shown = steps if len(steps) <= 7 else steps[np.linspace(0, len(steps) - 1, 7).astype(int)]
    top.set_xticks(shown, [f"{np.interp(step, steps, seconds):.0f}" for step in shown])
    top.set_xlabel("seconds of distillation")


def draw_loss_curve(record: RunRecord, name: str) -> str:
    """Draw the outer loss over outer steps. Nothing is drawn for a single point."""
    curve = record.result.get("curve") or ()
    if len(curve) < 2:
        return ""
    steps, held = [point["step"] for point in curve], [point["held_out_loss"] for point in curve]
    with drawing():
        figure, axis = make_figure(height=HEIGHT, width=WIDTH)
        if record.losses:
            thinned = record.losses[:: max(1, len(record.losses) // MAX_LOSSES)]
            axis.plot(*zip(*thinned, strict=True), color=GREY, linewidth=0.9, label="batch of each step")
        axis.plot(steps, held, "o-", color=ORANGE, markersize=4, label="held-out states")
        axis.set(xlabel="outer steps", ylabel="outer loss", ylim=(0, None))
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    alt = f"Line plot: the outer loss on held-out states goes from {held[0]:.3g} to {held[-1]:.3g}."
    return make_figure_block(figure, name, alt, "Outer loss over the distillation.")


def draw_episodes(record: RunRecord, name: str) -> str:
    """Draw the return of every episode of every policy."""
    kinds = [kind for kind in COLOURS if record.scores.get(kind, {}).get("returns")]
    if not kinds:
        return ""
    rng = np.random.default_rng(0)
    with drawing():
        figure, axis = make_figure(height=1.0 + 0.46 * len(kinds), width=WIDTH)
        for i, kind in enumerate(kinds):
            returns = record.scores[kind]["returns"]
            values = np.concatenate([np.asarray(one, np.float64) for one in returns])
            places = i + rng.uniform(-0.28, 0.28, len(values))
            axis.plot(values, places, ".", color=COLOURS[kind], alpha=0.5, markersize=7, markeredgewidth=0)
            axis.plot([values.mean()] * 2, [i - 0.36, i + 0.36], color=COLOURS[kind], linewidth=2.2)
        axis.set_yticks(range(len(kinds)), [LABELS[kind] for kind in kinds])
        axis.set_ylim(len(kinds) - 0.5, -0.5)
        axis.grid(visible=False, axis="y")
        axis.set(xlabel=f"{record.label}\n(dot = one episode, line = mean)")
    said = "; ".join(f"{LABELS[kind]} {format_number(record.scores[kind]['mean'])}" for kind in kinds)
    return make_figure_block(figure, name, f"Dots of returns of episodes. Means: {said}.", "Every rolled-out episode.")


def draw_imitation_bar(record: RunRecord, name: str) -> str:
    """Draw the imitation error of students between its limits: 0, the teacher, and the best constant action."""
    variance = record.offline.get("teacher_variance")
    if not variance or "imitation_error" not in record.offline or record.result.get("student"):
        return ""
    error = record.offline["imitation_error"]
    with drawing():
        figure, axis = make_figure(height=1.7, width=WIDTH)
        axis.barh([0, 1], [variance, error["mean"]], 0.55, color=[GREY, BLUE], alpha=BAR)
        ends = [error["mean"] - error["std"], error["mean"] + error["std"]]
        axis.plot(ends, [1, 1], color=axis.xaxis.label.get_color(), linewidth=1.3)
        axis.set_yticks([0, 1], ["best constant action", "students"])
        axis.grid(visible=False, axis="y")
        axis.set(xlabel="imitation error\n(bar = mean, line = ± 1 std over students)")
    alt = f"Bars: imitation error {error['mean']:.3g} of students, {variance:.3g} of the best constant action."
    return make_figure_block(
        figure, name, alt, "Distance to the teacher's actions on held-out states; 0 is the teacher."
    )


def draw_map(record: RunRecord, name: str) -> str:
    """Draw the distilled states in the plane of their first two principal components."""
    if record.distillate is None or len(record.distillate) < 3 or record.distillate.states.shape[1] < 2:
        return ""
    states = np.asarray(record.distillate.normaliser(record.distillate.states), np.float64)
    plane = Plane.of(states)
    places, shares = plane(states), plane.shares
    weights = record.distillate.weights
    chosen = choose_states(record.distillate.states, COUNT)
    noted = f"{len(chosen)} distant states, which a simulator renders"
    with drawing():
        figure, axis = make_figure(height=HEIGHT, width=WIDTH)
        if weights is None:  # a marker that is used many times is smaller than many dots
            axis.plot(*places.T, ".", color=BLUE, alpha=0.6, markersize=7, markeredgewidth=0, label="distilled state")
        else:
            axis.scatter(*places.T, s=14.0 * weights, color=BLUE, alpha=0.6, linewidths=0, label="distilled state")
        axis.plot(*places[chosen].T, "o", color=ORANGE, fillstyle="none", markersize=8, label=noted)
        for index, (x, y) in zip(chosen, places[chosen], strict=True):
            axis.annotate(f"{index}", (x, y), (5, 4), textcoords="offset points", fontsize=8)
        axis.set(xlabel=f"first principal component ({shares[0]:.0%} of the variance)")
        axis.set(ylabel=f"second ({shares[1]:.0%})")
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    alt = f"Map of {len(states)} standardised distilled states in two principal components ({shares.sum():.0%})."
    larger = "" if weights is None else " Larger dots have larger weights."
    return make_figure_block(figure, name, alt, f"Map of the pairs.{larger} Numbers are those of rendered pairs.")


def show_rendered_states(record: RunRecord) -> str:
    """Show the picture of rendered states in the run folder, if there is one."""
    picture = record.read_picture()
    if picture is None:
        return ""
    alt = f"Rendered distilled states of {record.title}: some states above, each one step later below."
    return make_image_block(picture, "jpeg", alt, "Distilled states in the simulator, and one step later.")
