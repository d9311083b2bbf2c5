"""Throughput of a command's output and input against the bare port."""

import os
import subprocess
import time

from bare import BareMachine
from harness import Failed, Samples, Spec, measures, progress

PORT = "the bare port, 64 KiB at a time"
OUT = Spec("stream.out", "MB/s", "zeros that a command writes to its stdout, through `cove shell`", PORT,
           ("value", ">=", 100))
IN = Spec("stream.in", "MB/s", "zeros that a command reads from its stdin, through `cove shell`", PORT,
          ("value", ">=", 100))
CHUNK = 64 * 1024


def _rate(count, start):
    return count / (time.perf_counter() - start) / 1e6


def _drain(fd, count):
    """MB/s of `count` bytes read, from the first to the last."""
    left = count - len(os.read(fd, 1))
    start = time.perf_counter()
    while left > 0:
        data = os.read(fd, CHUNK)
        if not data:
            raise Failed(f"{left} of {count} bytes did not come")
        left -= len(data)
    return _rate(count, start)


def _fill(fd, count):
    zeros, left = memoryview(bytes(CHUNK)), count
    while left > 0:
        left -= os.write(fd, zeros[:left])


def _shell(home, name, script):
    return subprocess.Popen(home.argv("shell", "--quiet", "--user", "root", name, "--", "sh", "-c", script),
                            env=home.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _out(home, name, count):
    with _shell(home, name, f"exec dd if=/dev/zero bs={CHUNK} count={count // CHUNK} status=none") as shell:
        return _drain(shell.stdout.fileno(), count)


def _in(home, name, count):
    with _shell(home, name, f"echo; dd of=/dev/null bs={CHUNK} status=none; echo") as shell:
        os.read(shell.stdout.fileno(), 1)
        start = time.perf_counter()
        _fill(shell.stdin.fileno(), count)
        shell.stdin.close()
        os.read(shell.stdout.fileno(), 1)
        return _rate(count, start)


def _bare(command, image, init, count):
    """MB/s out and in."""
    with BareMachine(command, image, init, f"stream {count}") as bare:
        bare.wait_for("REACHED-PORT")
        out = _drain(bare.port.fileno(), count)
        start = time.perf_counter()
        _fill(bare.port.fileno(), count)
        bare.wait_for("REACHED-END")
        return out, _rate(count, start)


@measures(OUT, IN)
def streams(bench):
    init = bench.program("bare-init")
    count = bench.stream_mib << 20
    outward, inward = Samples([], []), Samples([], [])
    with bench.home() as home, home.instance() as name:
        command, image = home.qemu_command(name), home.image_of(name)
        for i in range(bench.streams):
            progress(f"stream {i + 1} of {bench.streams}")
            outward.values.append(_out(home, name, count))
            inward.values.append(_in(home, name, count))
            out, into = _bare(command, image, init, count)
            outward.references.append(out)
            inward.references.append(into)
    return {OUT.name: outward, IN.name: inward}
