"""The floor: the kernel, image and QEMU flags of a running instance, driven by a bare script without cove.

The flags are those of the instance's own QEMU, as the kernel shows them, less the confinement: so they cannot
drift apart. Its initrd has the image's modules and guest/bare_init.cc. What it reached it says on the serial
console; times are taken when that arrives here.
"""

import contextlib
import os
import re
import select
import socket
import subprocess
import tempfile
import time

from harness import Failed

ALONE = {"-nodefaults", "-no-user-config"}  # options without a value
NOT_BARE = ("socket,id=control,", "memory-backend-file,", "memory-backend=")  # values of options
LIMIT = 300  # seconds
DISK_SET, BACKING_SET = "1", "2"


def _entry(number, name, mode, data=b""):
    """One file of a newc archive (Documentation/driver-api/early-userspace/buffer-format.rst)."""
    path = name.encode() + b"\0"
    fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0]
    header = b"070701" + b"".join(b"%08x" % f for f in fields) + path
    return header + b"\0" * (-len(header) % 4) + data + b"\0" * (-len(data) % 4)


def make_initrd(modules, init):
    parts = [modules + b"\0" * (-len(modules) % 4), _entry(1, "init", 0o100755, init), _entry(2, "TRAILER!!!", 0)]
    return b"".join(parts)


def bare_command(command, image, initrd, mode, fds):
    """An instance's QEMU command as a bare one. `fds`: descriptors of console, agent, disk and backing."""
    result, rest = [command[0]], command[1:]
    while rest:
        option = rest.pop(0)
        if option in ALONE:
            result.append(option)
            continue
        value = rest.pop(0)
        if option in ("-name", "-sandbox", "-mon") or value.startswith(NOT_BARE):
            continue
        if option == "-kernel":
            value = str(image / "kernel")
        elif option == "-initrd":
            value = initrd
        elif option == "-append":
            value = f"{value.strip()} -- {mode}"
        elif option == "-netdev":
            value = "user,id=net0"
        elif option == "-add-fd":
            which = {DISK_SET: "disk", BACKING_SET: "backing"}[value.rpartition("set=")[2]]
            value = re.sub(r"fd=\d+", f"fd={fds[which]}", value, count=1)
        elif found := re.match(r"socket,id=(console|agent),fd=", value):
            value = found[0] + str(fds[found[1]])
        result += [option, value]
    return result


class BareMachine:
    """One that does `mode` (see guest/bare_init.cc), started when it is made; `started` is when.

    `command`: the command line of an instance's QEMU.
    """

    def __init__(self, command, image, init, mode):
        with contextlib.ExitStack() as stack:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="cove-bench-"))
            initrd, disk = os.path.join(directory, "initrd"), os.path.join(directory, "disk")
            with open(initrd, "wb") as f:
                f.write(make_initrd((image / "modules.cpio").read_bytes(), init.read_bytes()))
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "100G"], check=True)
            self.console, console = self._pair(stack)
            self.port, port = self._pair(stack)
            disk_file = stack.enter_context(open(disk, "r+b"))
            backing = stack.enter_context(open(image / "root.img", "rb"))
            fds = {"console": console.fileno(), "agent": port.fileno(), "disk": disk_file.fileno(),
                   "backing": backing.fileno()}
            argv = bare_command(command, image, initrd, mode, fds)
            self.started = time.perf_counter()
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                            stderr=subprocess.PIPE, pass_fds=list(fds.values()))
            stack.callback(self._end)
            for theirs in (console, port, disk_file, backing):
                theirs.close()
            self._stack = stack.pop_all()

    @staticmethod
    def _pair(stack):
        ours, theirs = socket.socketpair()
        return stack.enter_context(ours), stack.enter_context(theirs)

    def _end(self):
        self.process.kill()
        self.process.communicate()

    def wait_for(self, marker):
        """Seconds from the start of QEMU to the line `marker`."""
        return self.await_marker(self.console, self.process, marker, self.started)

    @staticmethod
    def await_marker(console, process, marker, started):
        seen = b""
        while marker.encode() not in seen:
            ready, _, _ = select.select([console], [], [], max(0, started + LIMIT - time.perf_counter()))
            data = console.recv(65536) if ready else b""
            seen += data
            if not data or b"BARE-FAILED" in seen or b"Kernel panic" in seen:
                process.kill()
                complaint = process.stderr.read() if process.stderr else b""
                raise Failed(f"the bare machine did not say {marker}: {(seen + complaint)[-500:]!r}")
        return time.perf_counter() - started

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stack.close()
