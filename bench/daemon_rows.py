"""The command line and its daemon, without any machine."""

import os
import time

from harness import DEV_NULL, Failed, Samples, Spec, measures, p95, timed

TRIVIAL = "spawning /bin/true"
WARM = Spec("cli.warm", "ms", "`cove list` with a running daemon", TRIVIAL, ("value", "<=", 3))
COLD_P50 = Spec("daemon.cold.p50", "ms", "`cove list` that starts the daemon, median", TRIVIAL)
COLD_P95 = Spec("daemon.cold.p95", "ms", "`cove list` that starts the daemon, 95th percentile", TRIVIAL,
                ("value", "<=", 25), p95)
CROWD = Spec("daemon.crowd", "s", "that many `cove list` at once, with no daemon: until the last has its answer",
             "spawning as many /bin/true at once")


def _trivial(environment):
    return timed(["/bin/true"], environment)


@measures(WARM)
def warm_commands(bench):
    samples = Samples([], [])
    with bench.home() as home:
        home("list")
        for _ in range(bench.colds):
            samples.values.append(1000 * home.timed("list", "--quiet"))
            samples.references.append(1000 * _trivial(home.environment))
    return {WARM.name: samples}


@measures(COLD_P50, COLD_P95)
def cold_daemons(bench):
    samples = Samples([], [])
    with bench.home() as home:
        home("list")  # makes the state directory and its database: once in a user's life
        for _ in range(bench.colds):
            home.stop_daemon()
            samples.values.append(1000 * home.timed("list", "--quiet"))
            samples.references.append(1000 * _trivial(home.environment))
    return {COLD_P50.name: samples, COLD_P95.name: samples}


def _all_at_once(argv, environment, count):
    """Seconds until all have ended; Failed unless each ended with 0."""
    start = time.perf_counter()
    pids = [os.posix_spawn(argv[0], argv, environment, file_actions=DEV_NULL) for _ in range(count)]
    bad = sum(os.waitpid(pid, 0)[1] != 0 for pid in pids)
    took = time.perf_counter() - start
    if bad:
        raise Failed(f"{bad} of {count} {' '.join(argv)} failed")
    return took


@measures(CROWD)
def crowds(bench):
    samples = Samples([], [], f"{bench.clients} clients, all answered, by one daemon")
    with bench.home() as home:
        home("list")
        for _ in range(bench.crowds):
            home.stop_daemon()
            samples.values.append(_all_at_once(home.argv("list", "--quiet"), home.environment, bench.clients))
            if len(daemons := home.daemons()) != 1:
                raise Failed(f"{bench.clients} clients at once left these daemons: {daemons}")
            samples.references.append(_all_at_once(["/bin/true"], home.environment, bench.clients))
    return {CROWD.name: samples}
