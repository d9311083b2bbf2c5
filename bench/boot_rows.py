"""Cold starts of a machine against the bare kernel, and the bare image."""

from bare import BareMachine
from harness import Samples, Spec, measures, progress

UP = Spec("boot.up", "s", "`cove start --early` of a new instance: until commands can run in it",
          "the bare kernel to its init", ("ratio", "<=", 1.35))
READY = Spec("boot.ready", "s", "`cove start` of a new instance: until its systemd has started everything",
             "the same image without cove, likewise", ("ratio", "<=", 1.15))


def _boots(bench, options, mode, marker):
    """Whole `cove start` processes, each followed by the bare machine with the flags of its QEMU."""
    init = bench.program("bare-init")
    samples = Samples([], [])
    with bench.home() as home:
        for i in range(bench.boots):
            progress(f"boot {i + 1} of {bench.boots}")
            home.create("bench")
            samples.values.append(home.timed("start", "--quiet", *options, "bench"))
            command, image = home.qemu_command("bench"), home.image_of("bench")
            home.delete("bench")  # they must not share the processors
            with BareMachine(command, image, init, mode) as bare:
                samples.references.append(bare.wait_for(marker))
    return samples


@measures(UP)
def starts_until_up(bench):
    return {UP.name: _boots(bench, ["--early"], "init", "REACHED-INIT")}


@measures(READY)
def starts_until_ready(bench):
    return {READY.name: _boots(bench, [], "image", "REACHED-STARTED")}
