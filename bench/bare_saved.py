"""The floor of a run that begins from a saved machine: a bare script that drives QEMU, qemu-img and QMP likewise.

The machine is that of bare.py with the same image, whose systemd has started everything; a small program at its port
runs /bin/true for every byte. It is saved with its memory in a sealed memfd, which each clone maps copy-on-write.
"""

import array
import contextlib
import fcntl
import json
import os
import socket
import subprocess
import time

from bare import LIMIT, BareMachine, bare_command, make_initrd
from harness import Failed

SEALS = 0xF  # F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE
F_ADD_SEALS = 1033


class Qmp:
    def __init__(self, control):
        self.control = control
        self.lines = control.makefile("rb")
        self._next()
        self("qmp_capabilities")

    def _next(self):
        return json.loads(self.lines.readline() or b'{"error": "QEMU ended"}')

    def __call__(self, command, **arguments):
        self.control.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while True:
            answer = self._next()
            if "error" in answer:
                raise Failed(f"QMP {command}: {answer['error']}")
            if "return" in answer:
                return answer["return"]

    def pass_fd(self, fd, name):
        self.control.sendmsg([b" "], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
        self("getfd", fdname=name)

    def migrate(self, command, uri, ignore_shared=True):
        if ignore_shared:
            self("migrate-set-capabilities", capabilities=[{"capability": "x-ignore-shared", "state": True}])
        self(command, uri=uri)
        while (status := self("query-migrate").get("status")) != "completed":
            if status == "failed":
                raise Failed("the bare machine's state cannot be moved")
            time.sleep(0.001)


def start_bare(command, image, initrd, disk, arguments, pass_fds=(), edit=None):
    """QEMU on a disk that is there, with more `arguments`, and our ends of its control, console and port."""
    pairs = {name: socket.socketpair() for name in ("control", "console", "agent")}
    files = {"disk": os.open(disk, os.O_RDWR), "backing": os.open(image / "root.img", os.O_RDONLY)}
    fds = {**{name: theirs.fileno() for name, (_, theirs) in pairs.items()}, **files}
    argv = bare_command(command, image, str(initrd), "serve", fds)
    argv += ["-chardev", f"socket,id=control,fd={fds['control']}", "-mon", "chardev=control,mode=control", *arguments]
    argv = edit(argv) if edit else argv
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, pass_fds=[*fds.values(), *pass_fds])
    for _, theirs in pairs.values():
        theirs.close()
    for fd in files.values():
        os.close(fd)
    for ours, _ in pairs.values():
        ours.settimeout(LIMIT)
    return process, {name: ours for name, (ours, _) in pairs.items()}


def make_disk(path):
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "100G"], check=True)


def from_saved(argv, saved):
    """The command line of a clone: no kernel, and its disk above the one that was saved."""
    for option in ("-kernel", "-initrd", "-append"):
        at = argv.index(option)
        del argv[at:at + 2]
    at = next(i for i, word in enumerate(argv) if "node-name=disk," in word)
    argv[at] = argv[at].replace("backing=backing", "backing=saved")
    argv[at - 1:at - 1] = [
        "-add-fd", f"fd={saved},set=9", "-blockdev",
        "driver=file,node-name=saved-file,read-only=on,locking=off,filename=/dev/fdset/9", "-blockdev",
        "driver=qcow2,node-name=saved,read-only=on,file=saved-file,backing=backing"]
    return [*argv, "-S", "-incoming", "defer"]


class BareSaved:
    """`command`: the command line of an instance's QEMU; `directory` holds the saved disk and the clones'.

    `init`: what it runs, which says `marker` on the console when it can be saved, `idle` seconds later.
    """

    def __init__(self, command, image, init, directory, marker="REACHED-STARTED", idle=1):
        self.command, self.image, self.directory = command, image, directory
        self.initrd = directory / "initrd"
        self.initrd.write_bytes(make_initrd((image / "modules.cpio").read_bytes(), init.read_bytes()))
        self.memory = os.memfd_create("memory", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self.size = command[command.index("-m") + 1]
        os.truncate(self.memory, int(self.size) << 20)
        self.devices = directory / "devices"
        self.disk = directory / "disk"
        self._save(marker, idle)
        fcntl.fcntl(self.memory, F_ADD_SEALS, SEALS)

    def _start(self, disk, share, saved=None, devices=None):
        """A clone's has the saved disk and devices, and nothing that it could boot."""
        make_disk(disk)
        memory = f"memory-backend-file,id=memory,size={self.size}M,mem-path=/proc/self/fd/{self.memory},share={share}"
        arguments = ["-object", memory, "-machine", "memory-backend=memory"]
        clones = [fd for fd in (saved, devices) if fd is not None]
        edit = (lambda argv: from_saved(argv, saved)) if clones else None
        return start_bare(self.command, self.image, self.initrd, disk, arguments, [self.memory, *clones], edit)

    def _save(self, marker, idle):
        process, ours = self._start(self.disk, "on")
        try:
            qmp = Qmp(ours["control"])
            BareMachine.await_marker(ours["console"], process, marker, time.perf_counter())
            time.sleep(idle)
            qmp("stop")
            with open(self.devices, "wb") as f:
                qmp.pass_fd(f.fileno(), "devices")
                qmp.migrate("migrate", "fd:devices")
            qmp("quit")
            process.wait()
        finally:
            process.kill()
            process.wait()

    def timed_true(self):
        """Seconds from nothing to the end of /bin/true in a clone, its QEMU ended and its disk removed."""
        start = time.perf_counter()
        self._run_true()
        return time.perf_counter() - start

    def _run_true(self):
        with self.clone() as port:
            port.sendall(b"x")
            if port.recv(1) != b"x":
                raise Failed("the bare clone does not answer")

    @contextlib.contextmanager
    def clone(self):
        """The port of a machine that goes on where the saved one stood; it ends with the context. One at a time."""
        disk = self.directory / "clone"
        devices = os.open(self.devices, os.O_RDONLY)
        saved = os.open(self.disk, os.O_RDONLY)
        process, ours = self._start(disk, "off", saved, devices)
        try:
            qmp = Qmp(ours["control"])
            qmp.migrate("migrate-incoming", f"fd:{devices}")
            qmp("cont")
            yield ours["agent"]
        finally:
            process.kill()
            process.wait()
            for fd in (devices, saved):
                os.close(fd)
            disk.unlink()
