"""Tables of seconds and memory."""

from __future__ import annotations

import itertools

from benchmarks.experiments import load_records
from benchmarks.grid import Record
from benchmarks.pages.text import make_table, select_records


def updates() -> str:
    """Updates per second of the teacher algorithms, and those of plain PyTorch."""
    lines = []
    for cores, name in itertools.product((1, 2), ("rebrac", "cal-ql", "iql", "edac")):
        [record] = select_records(load_records("teacher-updates"), method=name, cores=cores)
        own, plain = record["programs"]["potstill"], record["programs"].get("torch")
        other = [f"{1 / plain['clock']:.0f}", f"{own['times_faster']:.2f}"] if plain else ["–", "–"]
        lines.append([str(cores), name, f"{1 / own['clock']:.0f}", *other])
    head = "Experiment `teacher-updates`: Hopper's sizes, batch 256, alternating with the same losses in PyTorch."
    return f"{head}\n\n{make_table(('cores', 'algorithm', 'updates per second', 'PyTorch', 'times faster'), lines)}"


def exact_step() -> str:
    """Seconds of the exact unrolled step, potstill's and PyTorch's."""
    lines = [
        [
            *(str(record["cores"]), name, f"{row['clock']:.2f}", f"{row['times_faster']:.2f}"),
            f"{row['peak_gb']:.1f} GB",
        ]
        for record in sorted(load_records("exact-step"), key=lambda r: r["cores"])
        for name, row in record["programs"].items()
    ]
    return make_table(("cores", "program", "seconds", "times faster than PyTorch", "peak memory"), lines)


def products() -> str:
    """GFLOP/s of the unroll's products on one core."""
    kinds = [select_records(load_records("products"), method=kind)[0]["programs"] for kind in ("float32", "bfloat16")]
    lines = []
    for name in dict.fromkeys(program.split(",")[0] for program in kinds[0]):
        times = [kind[f"{name}, {place}"]["processor"] for kind in kinds for place in ("in cache", "from memory")]
        lines.append([name, *(f"{1 / seconds:.0f}" for seconds in times)])
    heads = ("float32, in cache", "from memory", "bfloat16, in cache", "from memory")
    return make_table(("product of 256 × 256, one core", *heads), lines)


def devices() -> str:
    """Seconds of an outer step on one device and on two, each a core."""
    lines = []
    for record in load_records("devices"):
        one, two = (record["programs"][name] for name in ("one", "two"))
        seconds = (one["clock"], two["clock"], one["processor"], two["processor"] / 2)
        label = record["method"].replace("two starts", "two initialisations")
        lines.append([label, *(f"{x:.3f}" for x in seconds)])
    heads = ("elapsed seconds: one core", "two cores", "processor seconds per device: one core", "two cores")
    return make_table(("outer step", *heads), lines)


def steppers() -> str:
    """Microseconds of one environment step."""
    found = load_records("steppers")
    names = list(found[0]["programs"])
    order = {"Hopper-v5": 0, "HalfCheetah-v5": 1, "Walker2d-v5": 2}
    lines = [
        [record["method"], *(f"{1e6 * record['programs'][name]['clock']:.0f}" for name in names)]
        for record in sorted(found, key=lambda r: order[r["method"]])
    ]
    head = "Experiment `steppers`: microseconds per environment step on two cores; medians of five alternating rounds."
    return f"{head}\n\n{make_table(('environment', *names), lines)}"


def reading() -> str:
    """Milliseconds of reading a million rows, and their ratio to h5py's."""
    found = load_records("reading")
    lines = [
        [
            record["method"],
            *(f"{1000 * row['clock']:.0f} ms ({row['times_as_long']:.2f})" for row in record["programs"].values()),
        ]
        for record in found
    ]
    return make_table(("million rows", *found[0]["programs"]), lines)


def policies() -> str:
    """For each format of exported policies: the largest difference to the student, and microseconds of a call."""
    found = {record["method"]: record for record in load_records("policies")}
    plain, default = found["plain"], found["default"]
    lines = []
    for name in plain["programs"]:
        differences = [f"{r['differences'][name]:.1g}" if name in r["differences"] else "–" for r in (plain, default)]
        times = [1e6 * record["programs"][name]["processor"] for record in (plain, default)]
        lines.append([name, *differences, *(f"{x:,.0f} µs" if x >= 10 else f"{x:.1f} µs" for x in times)])
    head = (
        f"Experiment `policies`: the largest difference of an action to that of the student over {plain['states']:,} "
        "states of the\nbundled dataset, whose actions lie in [−1, 1], and the processor time of one call on one core. "
        "*Plain*: a student of the\nrecipe `plain`, one network of 256 units. *Default*: 16 towers of 128 units. C is "
        "compiled with `-O3 -march=native` and\ncalled from C, all others from Python. Medians of "
        f"{plain['rounds']} rounds in which the formats alternate, on a machine with other load."
    )
    heads = ("format", "difference: plain", "default", "one call: plain", "default")
    return f"{head}\n\n{make_table(heads, lines)}"


def large() -> str:
    """Memory and time of a step on 50 million rows."""
    memory, steps = ({c: record_of_method(f"{c} {what}") for c in ("teach", "distill")} for what in ("memory", "steps"))
    peaks = [[f"`potstill {name}`", f"{r['own_gb']:.2f} GB", f"{r['total_gb']:.2f} GB"] for name, r in memory.items()]
    kinds = {"clock": "elapsed", "processor": "all processors"}
    labels = {"teach": "update of ReBRAC, batch 256", "distill": "outer step on the data's states"}
    lines = []
    for (command, label), by in itertools.product(labels.items(), kinds):
        rows = steps[command]["programs"]
        ratio = rows["mapped"]["times_as_long" if by == "clock" else "times_as_long_processor"]
        milliseconds = [f"{1e3 * rows[kind][by]:.2f}" for kind in ("memory", "mapped")]
        lines.append([label, kinds[by], *milliseconds, f"{ratio:.2f}"])
    return "\n".join(
        [
            f"Measured with 50 million rows of Hopper's sizes ({memory['teach']['file_gb']:.1f} GB on disk) on one",
            "core. Peak memory; the system reclaims the mapped pages of the file when it needs their memory:",
            "",
            make_table(("command", "memory of its own", "with mapped pages"), peaks),
            "",
            "Milliseconds per step: medians of runs that alternate with 100,000 rows in memory, on a machine with",
            "other load. The file was in the system's cache; if memory cannot hold it, every row requires a disk read.",
            f"Ratios are medians over {steps['teach']['rounds']} rounds of 96 updates and "
            f"{steps['distill']['rounds']} rounds of ten outer steps.",
            "",
            make_table(("step", "milliseconds", "in memory", "mapped", "ratio"), lines),
        ]
    )


def record_of_method(method: str) -> Record:
    """The record of one method of ``large``."""
    return select_records(load_records("large"), method=method)[0]
