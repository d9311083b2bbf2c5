"""Memory of the processes with no, one and many instances. One sample: sizes of idle processes hardly change."""

import re
import time
from pathlib import Path

from bare import BareMachine
from harness import Failed, Missing, Samples, Spec, measures, progress

SETTLE = 5  # seconds after the last start
BARE = "QEMU of the same image without cove"
KINDS = {"rss": "RSS", "pss": "PSS"}


def _specs(bench_instances=("0", "1", "many")):
    specs = []
    for kind, label in KINDS.items():
        for count in bench_instances:
            bar = ("value", "<=", 15) if kind == "rss" else None
            specs.append(Spec(f"memory.coved.{count}.{kind}", "MB", f"{label} of coved with {count} instances", bar=bar))
        for program in ("vm", "network"):
            for count in bench_instances[1:]:
                specs.append(Spec(f"memory.{program}.{count}.{kind}", "MB",
                                  f"{label} of cove-{program}, a median of {count} instances"))
        for count in bench_instances[1:]:
            specs.append(Spec(f"memory.instance.{count}.{kind}", "MB",
                              f"{label} of all processes of an instance, a median of {count}", BARE))
    return specs


SPECS = _specs()


def sizes(pid):
    """{"rss": MB, "pss": MB} of a process."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except PermissionError as e:
        raise Missing(f"may not read the memory of process {pid}") from e
    return {kind: int(re.search(rf"^{label.capitalize()}:\s+(\d+) kB$", text, re.M)[1]) * 1024 / 1e6
            for kind, label in KINDS.items()}


def _total(pids):
    each = [sizes(pid) for pid in pids]
    return {kind: sum(size[kind] for size in each) for kind in KINDS}


def _coved(home):
    daemons = home.daemons()
    if len(daemons) != 1:
        raise Failed(f"these daemons run: {daemons}")
    return _total(daemons)


def _machines(home, names):
    """One list of totals for each of vm, network and instance."""
    processes = [home.processes_of(name) for name in names]
    return {"vm": [_total(p["vm"]) for p in processes], "network": [_total(p["network"]) for p in processes],
            "instance": [_total(sum(p.values(), [])) for p in processes]}


@measures(*SPECS)
def memory(bench):
    init = bench.program("bare-init")
    found = {}

    def note(program, count, totals, references=()):
        for kind in KINDS:
            found[f"memory.{program}.{count}.{kind}"] = Samples(
                [t[kind] for t in totals], [r[kind] for r in references],
                f"{len(names)} instances" if count == "many" and program == "coved" else "")

    with bench.home() as home:
        names = []
        home("list")
        note("coved", "0", [_coved(home)])
        for count, wanted in (("1", 1), ("many", bench.instances)):
            while len(names) < wanted:
                name = f"bench-{len(names)}"
                progress(f"starting instance {len(names) + 1} of {bench.instances}…")
                home.create(name)
                home("start", "--quiet", name)
                names.append(name)
            time.sleep(SETTLE)
            note("coved", count, [_coved(home)])
            machines = _machines(home, names)
            if count == "1":
                with BareMachine(home.qemu_command(name), home.image_of(name), init, "image") as machine:
                    machine.wait_for("REACHED-STARTED")
                    time.sleep(SETTLE)
                    bare = _total([machine.process.pid])
            for program, totals in machines.items():
                note(program, count, totals, [bare] if program == "instance" else ())
    return found
