"""Many machines that begin from one saved one and stay: what the last of them takes, and each when it is idle."""

import contextlib
import json
import os
import subprocess
import time
from pathlib import Path

from harness import Failed, Missing, Samples, Spec, measures, progress
from home import SMALL
from memory_rows import sizes
from saved_rows import await_saved

SETTLE = 10  # seconds after the last start
IDLE = 30  # seconds
SOME = 0.1  # of them are the first, and the last
KEPT = ("sh", "-c", "echo ready; cat")

LAST = Spec("clones.last", "ms", "`cove run -- sh -c 'echo ready; cat'` until its line, the last tenth of --clones",
            "the first tenth", ("ratio", "<=", 1.3))
MORE = Spec("clones.more", "ms", "the same when all of them are idle", "the first tenth", ("ratio", "<=", 1.3))
PSS = Spec("clones.pss", "MB", "PSS of an idle one's QEMU, supervisor and network process", bar=("value", "<=", 55))
CPU = Spec("clones.idle", "%", f"of a core that these take, over {IDLE} s", bar=("value", "<=", 0.3))


class Clone:
    """`cove run` of a command that answers a line with the same line, until its input ends."""

    def __init__(self, home, os_name):
        started = time.perf_counter()
        self.process = subprocess.Popen(home.argv("run", "--quiet", *SMALL, os_name, "--", *KEPT),
                                        env=home.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._expect(b"ready\n")
        self.took = time.perf_counter() - started

    def _expect(self, line):
        if (got := self.process.stdout.readline()) != line:
            raise Failed(f"a machine answers {got!r} instead of {line!r}")

    def answer(self):
        self.process.stdin.write(b"word\n")
        self.process.stdin.flush()
        self._expect(b"word\n")

    def end(self):
        self.process.communicate()
        if self.process.returncode != 0:
            raise Failed(f"a machine's command ended with {self.process.returncode}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
            self.process.communicate()


def seconds_of_processor(pids):
    """What they took so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])  # utime and stime: proc(5)
    return ticks / os.sysconf("SC_CLK_TCK")


def processes(home):
    """A list for each machine."""
    names = [instance["name"] for instance in json.loads(home("list", "--output", "json"))]
    return [sum(home.processes_of(name).values(), []) for name in names]


def memory(machines):
    """Samples, or the Missing that there is instead: who is not root may not read it."""
    try:
        return Samples([sum(sizes(pid)["pss"] for pid in pids) for pids in machines], note=f"{len(machines)} machines")
    except Missing as reason:
        return reason


@measures(LAST, MORE, PSS, CPU)
def clones_of_one_saved_machine(bench):
    with bench.home(saved_limit="8G") as home, contextlib.ExitStack() as stack:
        progress("saving a machine…")
        home("run", "--quiet", *SMALL, bench.os_name, "--", "true")
        await_saved(home)
        home("run", "--quiet", *SMALL, bench.os_name, "--", "true")
        clones = []
        for number in range(bench.clones):
            if number % 10 == 0:
                progress(f"starting machine {number + 1} of {bench.clones}…")
            clones.append(stack.enter_context(Clone(home, bench.os_name)))
        time.sleep(SETTLE)
        machines = processes(home)
        if len(machines) != bench.clones:
            raise Failed(f"{len(machines)} machines are there instead of {bench.clones}")
        before = [seconds_of_processor(pids) for pids in machines]
        time.sleep(IDLE)
        took = [seconds_of_processor(pids) - b for pids, b in zip(machines, before)]
        pss = memory(machines)
        some, more = max(1, round(SOME * len(clones))), []
        for _ in range(some):
            with Clone(home, bench.os_name) as clone:
                more.append(1000 * clone.took)
                clone.end()
        for clone in clones:
            clone.answer()
        for clone in clones:
            clone.end()
    times, note = [1000 * clone.took for clone in clones], f"{len(clones)} machines"
    return {LAST.name: Samples(times[-some:], times[:some], note), MORE.name: Samples(more, times[:some], note),
            PSS.name: pss, CPU.name: Samples([100 * seconds / IDLE for seconds in took], note=note)}
