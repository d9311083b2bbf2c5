"""Rows: what one is, how samples become one, how they are shown."""

import dataclasses
import fnmatch
import json
import math
import os
import statistics
import sys
import time

DEV_NULL = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]


class Missing(Exception):
    """A row cannot be measured here; its text says why."""


class Failed(Exception):
    """Something did not do what it is measured at: never a number."""


def p95(samples):
    """The smallest sample that 95 of 100 do not exceed."""
    return sorted(samples)[math.ceil(0.95 * len(samples)) - 1]


@dataclasses.dataclass(frozen=True)
class Spec:
    """A row before it is measured. `bar`: (what of "value" and "ratio", "<=" or ">=", limit)."""
    name: str
    unit: str
    meaning: str
    reference: str | None = None
    bar: tuple[str, str, float] | None = None
    statistic: object = statistics.median


@dataclasses.dataclass
class Samples:
    """All that was measured, in the row's unit, of cove and of its reference. `note`: what a reader should know."""
    values: list[float]
    references: list[float] = dataclasses.field(default_factory=list)
    note: str = ""


def row(spec, samples):
    """The row as bench/run --json writes it. `samples`: Samples, or the Missing that there is instead."""
    missing = isinstance(samples, Missing)
    value = None if missing else spec.statistic(samples.values)
    reference = spec.statistic(samples.references) if not missing and samples.references else None
    ratio = value / reference if reference else None
    ok = None
    if spec.bar and not missing:
        of, order, limit = spec.bar
        measured = {"value": value, "ratio": ratio}[of]
        if measured is not None:
            ok = measured <= limit if order == "<=" else measured >= limit
    result = {"name": spec.name, "value": value, "unit": spec.unit, "reference": spec.reference,
              "reference_value": reference, "ratio": ratio, "bar": bar_text(spec), "ok": ok,
              "samples": None if missing else {"value": samples.values, "reference": samples.references},
              "meaning": spec.meaning}
    if missing:
        result["reason"] = str(samples)
    elif spec.bar and ok is None:
        result["reason"] = f"there is no {spec.reference} to compare with"
    if not missing and samples.note:
        result["note"] = samples.note
    return result


def bar_text(spec):
    if not spec.bar:
        return None
    of, order, limit = spec.bar
    return f"{of} {order} {limit:g}" + (f" {spec.unit}" if of == "value" else "")


class Measurement:
    """Rows that come of the same samples, and the function that takes them: {name: Samples or Missing}."""

    def __init__(self, specs, take):
        self.specs = specs
        self.take = take

    def rows(self, bench, patterns):
        wanted = [s for s in self.specs if selected(s.name, patterns)]
        if not wanted:
            return []
        progress(f"{self.take.__name__.replace('_', ' ')}…")
        try:
            taken = self.take(bench)
        except Missing as reason:
            taken = {spec.name: reason for spec in wanted}
        return [row(spec, taken[spec.name]) for spec in wanted]


def measures(*specs):
    """Makes a Measurement of a function."""
    return lambda take: Measurement(specs, take)


def selected(name, patterns):
    return not patterns or any(fnmatch.fnmatchcase(name, p) or name.startswith(p + ".") for p in patterns)


def progress(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def timed(argv, environment, allowed=(0,)):
    """Seconds from before the start of a program to after its end; by posix_spawn, whose cost is small."""
    argv = [str(a) for a in argv]
    start = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, environment, file_actions=DEV_NULL)
    _, status = os.waitpid(pid, 0)
    took = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status) not in allowed:
        raise Failed(f"{' '.join(argv)}: exit status {os.waitstatus_to_exitcode(status)}")
    return took


def _number(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def table(rows):
    """For people: a line a row, then why rows are missing."""
    head = ("ROW", "VALUE", "UNIT", "REFERENCE", "", "RATIO", "BAR", "OK")
    verdict = {True: "yes", False: "NO", None: "-"}
    lines = [head] + [(r["name"], _number(r["value"]), r["unit"], _number(r["reference_value"]), r["reference"] or "",
                       _number(r["ratio"]), r["bar"] or "", verdict[r["ok"]]) for r in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
    text += [f"{r['name']}: {r[key]}" for r in rows for key in ("reason", "note") if key in r]
    return "\n".join(text)


def write_json(path, rows):
    with open(path, "w") as f:
        json.dump(rows, f, indent=1)
        f.write("\n")
