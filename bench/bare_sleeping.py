"""The peer of machines that sleep: one that QEMU itself saves to a file with its memory, plain, and loads from it.

The machine is that of bare.py with the same image, as in bare_saved.py; it answers at its port when it goes on.
"""

import os
import time

from bare import BareMachine, make_initrd
from bare_saved import Qmp, make_disk, start_bare
from harness import Failed

# QEMU's default is for networks: 1 GiB/s is what no disk here reaches.
BANDWIDTH = 1 << 30


class BareSleeping:
    """`command`: the command line of an instance's QEMU; `directory` holds its disk and what is saved."""

    def __init__(self, command, image, init, directory):
        self.command, self.image = command, image
        self.initrd, self.disk, self.state = (directory / name for name in ("initrd", "disk", "state"))
        self.initrd.write_bytes(make_initrd((image / "modules.cpio").read_bytes(), init.read_bytes()))
        make_disk(self.disk)
        self._start()
        BareMachine.await_marker(self.ours["console"], self.process, "REACHED-STARTED", time.perf_counter())

    def _start(self, *arguments, pass_fds=()):
        self.process, self.ours = start_bare(self.command, self.image, self.initrd, self.disk, arguments, pass_fds)
        self.qmp = Qmp(self.ours["control"])

    def timed_save(self):
        """Seconds from its running to its state in a file and the end of QEMU."""
        start = time.perf_counter()
        self.qmp("migrate-set-parameters", **{"max-bandwidth": BANDWIDTH})
        self.qmp("stop")
        with open(self.state, "wb") as f:
            self.qmp.pass_fd(f.fileno(), "state")
            self.qmp.migrate("migrate", "fd:state", ignore_shared=False)
        self.qmp("quit")
        self._end()
        return time.perf_counter() - start

    def timed_load(self):
        """Seconds from the start of QEMU to the machine's going on. That it does is looked at afterwards."""
        start = time.perf_counter()
        with open(self.state, "rb") as f:
            self._start("-S", "-incoming", "defer", pass_fds=[f.fileno()])
            self.qmp.migrate("migrate-incoming", f"fd:{f.fileno()}", ignore_shared=False)
        self.qmp("cont")
        took = time.perf_counter() - start
        self.ours["agent"].sendall(b"x")
        if self.ours["agent"].recv(1) != b"x":
            raise Failed("the bare machine does not answer")
        return took

    def _end(self):
        self.process.wait()
        for socket in self.ours.values():
            socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self._end()
