"""Runs that begin from a saved machine, against a bare script that resumes one."""

import json
import tempfile
import time
from pathlib import Path

from bare_saved import BareSaved
from harness import Failed, Samples, Spec, measures, progress
from home import SMALL

BARE = "a bare script with QEMU, qemu-img and QMP"
SAVED = Spec("run.saved", "ms", "the whole process `cove run -- true`, its saved machine in memory", BARE,
             ("value", "<=", 250))
RATIO = Spec("run.saved.ratio", "ms", SAVED.meaning, BARE, ("ratio", "<=", 1.25))
LOADED = Spec("run.saved.loaded", "ms", "the same by a daemon that reads the saved machine first", BARE,
              ("value", "<=", 450))


POOL = Spec("run.pool", "ms", "the same, of a machine that waits for it (COVE_RUN_POOL)", BARE, ("value", "<=", 60))


def await_saved(home):
    deadline = time.monotonic() + 300
    while not list(home.path.glob("_saved/" + "?" * 64)):
        if time.monotonic() > deadline:
            raise Failed("no machine was saved")
        time.sleep(0.1)


def await_waiting(home):
    deadline = time.monotonic() + 60
    while not any(i["waiting"] and not i["operation"] for i in json.loads(home("list", "--output", "json"))):
        if time.monotonic() > deadline:
            raise Failed("no machine waits")
        time.sleep(0.1)
    time.sleep(1)  # as the user who comes later


def runs_of_waiting_machines(home, run, samples):
    home.stop_daemon()
    home.environment["COVE_RUN_POOL"] = "1"
    home(*run)
    for _ in range(samples):
        await_waiting(home)
        yield 1000 * home.timed(*run)


@measures(SAVED, RATIO, LOADED, POOL)
def runs_from_saved_machines(bench):
    run = ("run", "--quiet", *SMALL, bench.os_name, "--", "true")
    saved, loaded, bare_times = [], [], []
    with bench.home(saved_limit="8G") as home, tempfile.TemporaryDirectory(dir=home.root) as directory:
        progress("saving a machine, and a bare one…")
        home(*run)
        await_saved(home)
        home.create("flags")
        home("start", "--quiet", "--early", "flags")
        command, image = home.qemu_command("flags"), home.image_of("flags")
        home.delete("flags")
        bare = BareSaved(command, image, bench.program("bare-init"), Path(directory))
        home.timed(*run)
        for _ in range(bench.runs):
            saved.append(1000 * home.timed(*run))
            bare_times.append(1000 * bare.timed_true())
        for _ in range(max(1, bench.runs // 4)):
            home.stop_daemon()
            home("daemon", "start")
            loaded.append(1000 * home.timed(*run))
        pool = list(runs_of_waiting_machines(home, run, max(1, bench.runs // 4)))
    return {SAVED.name: Samples(saved, bare_times), RATIO.name: Samples(saved, bare_times),
            LOADED.name: Samples(loaded, bare_times), POOL.name: Samples(pool, bare_times)}
