"""Machines that sleep: suspend, resume and snapshots, against a bare script that lets QEMU save and load a machine."""

import tempfile
from pathlib import Path

from bare_sleeping import BareSleeping
from harness import Samples, Spec, measures, progress

BARE = "QEMU's own migration to a file, by a bare script"
SUSPEND = Spec("state.suspend", "ms", "the whole process `cove suspend` of a running instance", BARE)
RESUME = Spec("state.resume", "ms", "the whole process `cove resume`", BARE, ("value", "<=", 400))
SNAPSHOT = Spec("state.snapshot", "ms", "the whole process `cove snapshot create` of a running instance")


@measures(SUSPEND, RESUME, SNAPSHOT)
def machines_that_sleep(bench):
    suspended, resumed, snapshots, bare_saved, bare_loaded = [], [], [], [], []
    with bench.home() as home, tempfile.TemporaryDirectory(dir=home.root) as directory, home.instance() as name:
        progress("starting a bare machine…")
        command, image = home.qemu_command(name), home.image_of(name)
        with BareSleeping(command, image, bench.program("bare-init"), Path(directory)) as bare:
            for _ in range(bench.sleeps):
                suspended.append(1000 * home.timed("suspend", "--quiet", name))
                resumed.append(1000 * home.timed("resume", "--quiet", name))
                bare_saved.append(1000 * bare.timed_save())
                bare_loaded.append(1000 * bare.timed_load())
                # Of a state that nothing else shares: the next suspend has the same to do.
                snapshots.append(1000 * home.timed("snapshot", "create", "--quiet", name, "bench"))
                home("snapshot", "delete", name, "bench")
    return {SUSPEND.name: Samples(suspended, bare_saved), RESUME.name: Samples(resumed, bare_loaded),
            SNAPSHOT.name: Samples(snapshots)}
