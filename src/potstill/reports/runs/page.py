"""Assemble ``report.html``, a self-contained page about finished runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

from potstill.reports.markup import (
    format_commands,
    format_facts,
    format_list,
    format_notes,
    format_paragraph,
    format_table,
    make_page,
)
from potstill.reports.runs import pictures
from potstill.reports.runs.added import describe_added_audit, describe_added_explanation
from potstill.reports.runs.record import RunRecord, find_versions
from potstill.reports.runs.verdict import compare_runs, judge_run
from potstill.reports.tables import LABELS
from potstill.reports.text import format_number

MOST_BYTES = 3_000_000  # size of a page
SCORE_HEADS = (
    "policy",
    "mean",
    "spread (std)",
    "interquartile mean",
    "95 % interval",
    "policies × episodes",
    "of teacher",
)
INTERVALS = (
    "Interquartile means cut a quarter of the episodes at each end. Their 95 % intervals resample the policies and "
    "their episodes; they do not include other distillation seeds or datasets."
)
ADDED = {"explain": describe_added_explanation, "audit": describe_added_audit}
Picture = Callable[[RunRecord, str], str]
CURVES: tuple[Picture, ...] = (
    pictures.draw_return_curve,
    pictures.draw_episodes,
    pictures.draw_imitation_bar,
    pictures.draw_loss_curve,
    pictures.draw_map,
)


def make_report_page(records: Sequence[RunRecord]) -> str:
    """Make the page. If it would exceed 3 MB, rendered states are left out, then the pictures of each run."""
    page = ""
    for left_out in ("", "the rendered states", "the pictures of each run"):
        page = _make_page(records, left_out)
        if len(page.encode()) <= MOST_BYTES:
            break
    return page


def _make_page(records: Sequence[RunRecord], left_out: str) -> str:
    several = len(records) > 1
    title = records[0].title if not several else f"{len(records)} runs"
    names = ", ".join(dict.fromkeys(record.title for record in records))
    blocks = []
    if left_out:
        blocks.append(format_notes([f"To keep this page below 3 MB, {left_out} are not shown."]))
    if several:
        blocks += ["<h2>Verdict</h2>", _list_verdicts(records)]
        blocks += ['<div class="plots">', pictures.draw_comparison(records), pictures.draw_imitation(records), "</div>"]
    for number, record in enumerate(records):
        blocks += _describe_run(record, f"run{number}", left_out, several=several)
    blocks += [
        "<h2>Versions</h2>",
        format_paragraph("Of the packages that made this page:"),
        format_facts(find_versions()),
    ]
    return make_page(title, names if several else records[0].path, "report", blocks)


def _list_verdicts(records: Sequence[RunRecord]) -> str:
    headlines = [f"{record.name}: {judge_run(record)[0]}" for record in records]
    return format_list([*headlines, *compare_runs(records)])


def _describe_run(record: RunRecord, name: str, left_out: str, *, several: bool) -> list[str]:
    headline, *others = judge_run(record)
    title = f"{record.title} – {record.name}" if several else "Verdict"
    blocks = [f"<h2>{escape(title)}</h2>", format_paragraph(headline, "lead"), format_list(others) if others else ""]
    blocks.append(format_notes([str(line) for line in record.result.get("warnings") or ()]))
    if record.result.get("student"):
        blocks += ["<h3>Returns</h3>", make_score_table(record)]
    if record.offline:
        blocks += ["<h3>Distance to the teacher</h3>", make_offline_table(record)]
    if left_out != "the pictures of each run":
        drawn = [draw(record, f"{name}-{i}") for i, draw in enumerate(CURVES)]
        rendered = "" if left_out else pictures.show_rendered_states(record)
        if any([*drawn, rendered]):
            blocks += ["<h3>Pictures</h3>", '<div class="plots">', *drawn, "</div>", rendered]
        if not rendered and not left_out:
            blocks.append(format_paragraph(_explain_missing_states(record), "soft"))
    shown = left_out != "the pictures of each run"
    for command, describe in ADDED.items():
        if command in record.added:
            blocks += describe(record.added[command].result.to_dict(), name, pictures=shown)
    blocks += ["<h3>How it was made</h3>", format_facts(list_facts(record)), _format_commands(record)]
    return blocks


def _explain_missing_states(record: RunRecord) -> str:
    if not record.result.get("env_id"):
        return "The states are not rendered: no environment is known."
    return "The states are not rendered: neither the run nor the folder of its pairs has a states.png."


def make_score_table(record: RunRecord) -> str:
    """Make the table of returns, with a line for each kind of policy."""
    show: Callable[[float], str] = (lambda v: f"{v:.1f}") if record.is_normalised else format_number
    teacher = (record.result.get("teacher") or {}).get("mean")
    students = (record.result.get("student") or {}).get("policies", 0)
    rows = []
    for kind, label in LABELS.items():
        if not (score := record.scores.get(kind)):
            continue
        rows.append(
            [
                label.format(pairs=record.result.get("pairs"), students=students),
                show(score["mean"]),
                f"± {show(score['std'])} over {score.get('std_over', 'policies')}",
                show(score["iqm"]) if "iqm" in score else "–",
                " to ".join(map(show, score["interval"])) if "interval" in score else "–",
                _count_episodes(score),
                f"{100 * score['mean'] / teacher:.0f} %" if teacher and record.is_normalised else "–",
            ]
        )
    return format_table(SCORE_HEADS, rows, f"{record.label.capitalize()}s.") + format_paragraph(INTERVALS, "soft")


def _count_episodes(score: Mapping[str, object]) -> str:
    episodes = score.get("episodes", "–")
    return f"{score['policies']} × {episodes}" if "policies" in score else f"{episodes}"


def make_offline_table(record: RunRecord) -> str:
    """Make the table of distances to the teacher."""
    offline, rows = record.offline, []
    for key, label in (("imitation_error", "imitation error"), ("q_gap", "Q-gap, in standard deviations of q*")):
        if key in offline:
            rows.append([label, f"{offline[key]['mean']:.4f}", f"± {offline[key]['std']:.4f}"])
    if offline.get("teacher_variance"):
        rows.append(["imitation error of the best constant action", f"{offline['teacher_variance']:.4f}", "–"])
    heads = ("measure", "mean", "spread (std) over students")
    return format_table(heads, rows, "On held-out states of the data; 0 is the teacher itself.")


def list_facts(record: RunRecord) -> list[tuple[str, str]]:
    """List what was distilled, how, and with which version, as names and values."""
    result, pairs = record.result, record.distillate
    metadata = {} if pairs is None else pairs.metadata
    dataset, teacher = metadata.get("dataset"), metadata.get("teacher")
    facts = [("run", record.path), ("pairs", str(result.get("pairs", "–")))]
    if isinstance(dataset, Mapping):
        rows = f", {dataset['rows']:,} rows" if isinstance(dataset.get("rows"), int) else ""
        named = f", SHA-256 {dataset['sha256']}" if "sha256" in dataset else ""
        facts.append(("dataset", f"{dataset.get('name')}{rows}{named}"))
    facts.append(("environment", str(result.get("env_id") or "none")))
    if pairs is not None and pairs.rule is not None:
        facts.append(("states", pairs.rule.describe()))
    if isinstance(teacher, Mapping):
        facts.append(("teacher", f"{teacher.get('algorithm', 'unknown')}, SHA-256 {teacher.get('sha256')}"))
    facts += [
        (name, str(metadata[name])) for name in ("objective", "weighting", "solver", "recipe") if name in metadata
    ]
    if "recipe" in result and "recipe" not in metadata:
        facts.append(("recipe", str(result["recipe"])))
    privacy = metadata.get("privacy")
    if isinstance(privacy, Mapping):
        facts.append(("privacy", str(privacy.get("statement"))))
    schedule = result.get("schedule") or {}
    if schedule.get("summary"):
        facts.append(("distillation", str(schedule["summary"])))
    if result.get("seconds"):
        facts.append(("seconds", ", ".join(f"{name} {value:.0f}" for name, value in result["seconds"].items())))
    if result.get("sha256"):
        facts.append(("SHA-256 of the pairs", str(result["sha256"])))
    if "potstill" in metadata:
        facts.append(("made with", f"potstill {metadata['potstill']}"))
    return facts


def _format_commands(record: RunRecord) -> str:
    pairs = record.distillate
    lines = [pairs.command] if pairs is not None and pairs.metadata.get("command") else []
    if record.command == "distill":
        lines.append(f"potstill reproduce {record.path}")
    if record.command == "evaluate" and isinstance(record.config.get("distillate"), str):
        lines.append(f"potstill evaluate {record.config.get('distillate')}")
    return format_paragraph("Commands:") + format_commands(lines) if lines else ""
