"""A command in a running instance against the floor inside its guest, and against ssh to the same guest."""

import os
import subprocess

from harness import Failed, Missing, Samples, Spec, measures, timed

FLOOR = "fork, exec and wait of /bin/true in the guest"
ROUND_TRIP = Spec("command.round-trip", "ms", "`true` over an open connection to the instance, as root", FLOOR,
                  ("ratio", "<=", 1.3))
WHOLE = Spec("command.shell", "ms", "the whole process `cove shell -- true`", FLOOR, ("ratio", "<=", 1.3))
SSH = Spec("command.ssh", "ms", "the whole process `cove shell -- true`",
           "the whole process `ssh -- true` over a master connection", ("ratio", "<=", 0.25))
EACH = 5  # commands of a kind in a row, before the next kind's turn


def _lines_ms(argv, environment):
    """What a program printed, nanoseconds a line, in ms."""
    done = subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{argv[0]}: {done.stderr.strip()}")
    return [int(line) / 1e6 for line in done.stdout.split()]


class _Master:
    """A multiplexing ssh connection to an instance."""

    def __init__(self, home, name):
        self.environment = home.environment
        config = home.info(name)["sshConfigFile"]
        self.argv = ["/usr/bin/ssh", "-F", config, "-o", f"ControlPath={home.runtime}/ssh", name]

    def __enter__(self):
        if not os.access(self.argv[0], os.X_OK):
            raise Missing("there is no ssh")
        subprocess.run([*self.argv[:3], "-M", "-N", "-f", *self.argv[3:]], env=self.environment, check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def timed_true(self):
        return timed([*self.argv, "--", "true"], self.environment)

    def __exit__(self, *_):
        subprocess.run([*self.argv[:3], "-O", "exit", *self.argv[3:]], env=self.environment, capture_output=True)


@measures(ROUND_TRIP, WHOLE)
def commands_against_the_floor(bench):
    round_trips, spawn = bench.program("round-trips"), bench.program("spawn-loop")
    trip, whole, floor = [], [], []
    with bench.home() as home, home.instance() as name:
        home("copy", spawn, f"{name}:/root/spawn-loop")
        loop = home.argv("shell", "--quiet", "--user", "root", name, "--", "/root/spawn-loop", str(EACH), "/bin/true")
        _lines_ms(loop, home.environment)  # QEMU translates code when it first runs
        for _ in range(bench.rounds):
            trip += _lines_ms([round_trips, name, str(EACH)], home.environment)
            whole += [1000 * home.timed("shell", "--quiet", "--user", "root", name, "--", "true") for _ in range(EACH)]
            floor += _lines_ms(loop, home.environment)
    return {ROUND_TRIP.name: Samples(trip, floor), WHOLE.name: Samples(whole, floor)}


@measures(SSH)
def commands_against_ssh(bench):
    samples = Samples([], [])
    with bench.home() as home, home.instance() as name, _Master(home, name) as master:
        master.timed_true()
        for _ in range(bench.rounds):
            samples.values += [1000 * home.timed("shell", "--quiet", name, "--", "true") for _ in range(EACH)]
            samples.references += [1000 * master.timed_true() for _ in range(EACH)]
    return {SSH.name: samples}
