"""What the system tests share: the programs under test, a terminal, and a look at what was left behind."""

import dataclasses
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import termios
import time
import urllib.parse
from pathlib import Path

import pyte
import pytest

BIN = Path(os.environ.get("COVE_BIN", Path(__file__).resolve().parent.parent / "build/release/bin"))
OS = os.environ.get("COVE_TEST_OS", "debian:12")
BOOT = 300  # seconds: a limit that only a hang reaches, on a loaded machine that emulates its guests
SMALL = ("--memory", "512M", "--cpus", "2")
PROGRAMS = {"cove", "coved", "cove-vm", "qemu-system-x86", "mmdebstrap", "mke2fs", "apt-get"}


@dataclasses.dataclass
class Result:
    status: int  # negative: the signal that ended it
    stdout: bytes
    stderr: bytes

    @property
    def out(self) -> str:
        return self.stdout.decode(errors="backslashreplace").strip()

    @property
    def err(self) -> str:
        return self.stderr.decode(errors="backslashreplace").strip()


class Cove:
    """The programs, with a state directory and a runtime directory of their own."""

    def __init__(self, root: Path, **environment: str):
        self.root = root
        self.home = root / "home"
        self.runtime = root / "run"
        self.runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("COVE_", "XDG_"))},
            "COVE_HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "PATH": f"{BIN}:{os.environ['PATH']}",
            **{k: v for k, v in os.environ.items() if k == "COVE_MIRROR"},
            "COVE_MEMORY_KEY": str(root / "config/memory.key"),
            "COVE_SAVED_LIMIT": "0",  # every run boots, and none is saved in the background
            **environment,
        }

    def popen(self, *args, **options) -> subprocess.Popen:
        """A running `cove ARGS`; its streams are pipes unless `options` says otherwise."""
        for stream in ("stdin", "stdout", "stderr"):
            options.setdefault(stream, subprocess.PIPE)
        environment = {**self.environment, **options.pop("env", {})}
        return subprocess.Popen([BIN / "cove", *map(str, args)], env=environment, **options)

    def __call__(self, *args, input: bytes = b"", check=True, timeout=BOOT, **options) -> Result:
        """Runs `cove ARGS` to its end; a status other than 0 fails the test unless check=False."""
        process = self.popen(*args, **options)
        try:
            stdout, stderr = process.communicate(input, timeout=timeout)
        except BaseException:
            process.kill()
            stdout, stderr = process.communicate()
            print(f"cove {' '.join(map(str, args))}: no end\nstdout: {stdout[-2000:]!r}\nstderr: {stderr[-2000:]!r}")
            raise
        result = Result(process.returncode, stdout, stderr)
        if check:
            assert result.status == 0, f"cove {' '.join(map(str, args))}: {result.status}\n{result.err}"
        return result

    def json(self, *args, **options):
        return json.loads(self(*args, "--output", "json", **options).stdout)

    def sh(self, name: str, script: str, *options, **keywords) -> Result:
        """A script for /bin/sh as root in the instance `name`."""
        return self("shell", "--user", "root", *options, name, "--", "sh", "-c", script, **keywords)

    def instances(self) -> list[str]:
        return [i["name"] for i in self.json("list")]

    def state(self, name: str) -> str:
        return self.json("info", name)["state"]

    def wait_state(self, name: str, *states: str, seconds=BOOT) -> str:
        return eventually(lambda: (s := self.state(name)) in states and s, seconds, f"{name} to be {states}")

    # Who is who, by the locks that they hold for life.
    def daemon_pid(self):
        return lock_holder(self.home / "life.lock")

    def supervisor_pid(self, name: str):
        return lock_holder(self.home / name / "vm.lock")

    def qemu_pid(self, name: str):
        supervisor = self.supervisor_pid(name)
        return next((p for p in descendants(supervisor) if comm(p) == "qemu-system-x86"), None)

    def network_pid(self, name: str):
        return next((p for p in descendants(self.supervisor_pid(name)) if comm(p) == "cove-network"), None)

    def clear(self):
        """Ends all of it, as a user would."""
        if not (self.home / "cove.db").exists():
            return
        for name in self.instances():
            self("delete", "--force", name)
        self("daemon", "stop")


# --- processes ---------------------------------------------------------------------------------------------

def comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _stat(pid: int):
    """(state, parent) of a process; the fields after the last ')', as its name may hold anything."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[0], int(fields[1])
    except (FileNotFoundError, ProcessLookupError):
        return "X", 0


def is_alive(pid: int) -> bool:
    return _stat(pid)[0] not in "XZ"


def pids() -> list[int]:
    return [int(p) for p in os.listdir("/proc") if p.isdigit()]


def descendants(pid) -> list[int]:
    found, parents = [], {p: _stat(p)[1] for p in pids()}
    queue = [pid] if pid else []
    while queue:
        parent = queue.pop()
        children = [p for p, its in parents.items() if its == parent]
        found += children
        queue += children
    return found


def _uids() -> list[range]:
    """Ours, and those that we may map into a user namespace."""
    import pwd

    mine = os.getuid()
    ranges = [range(mine, mine + 1)]
    name = pwd.getpwuid(mine).pw_name
    for line in Path("/etc/subuid").read_text().splitlines() if Path("/etc/subuid").exists() else []:
        who, first, count = line.split(":")
        if who in (name, str(mine)):
            ranges.append(range(int(first), int(first) + int(count)))
    return ranges


def cove_processes() -> dict[int, str]:
    """Every living process of ours that is one of cove's programs, or one that they run."""
    ranges, found = _uids(), {}
    for pid in pids():
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        uid = int(status.split("Uid:")[1].split()[0])
        if any(uid in r for r in ranges) and comm(pid) in PROGRAMS and is_alive(pid):
            found[pid] = comm(pid)
    return found


def lock_holder(path: Path):
    """The process that holds the flock on `path`, or None."""
    try:
        inode = path.stat().st_ino
    except FileNotFoundError:
        return None
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if fields[1] == "FLOCK" and int(fields[5].split(":")[2]) == inode and int(fields[4]) > 0:
            return int(fields[4])
    return None


def kill(pid):
    """kill -9, and wait until it is gone. The process may have ended already."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        select.select([handle], [], [], 30)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def eventually(condition, seconds: float, what: str):
    """The first true value of `condition()`."""
    end = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.1)


def archive_is_reachable() -> bool:
    """Whether what images are built from answers: the mirror, the proxy, or where apt's own packages come from."""
    site = os.environ.get("COVE_MIRROR") or os.environ.get("http_proxy")
    if not site:
        listed = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE)"], capture_output=True, text=True)
        site = next(iter(listed.stdout.split()), "")
    address = urllib.parse.urlsplit(site)
    if not address.hostname:
        return True  # nobody knows; the tests will say
    try:
        socket.create_connection((address.hostname, address.port or 80), timeout=10).close()
    except OSError:
        return False
    return True


def saved_names(cove) -> list[str]:
    return [p.name for p in (cove.home / "_saved").glob("?" * 64)]


def await_saved(cove) -> list[str]:
    return eventually(lambda: saved_names(cove), BOOT, "a machine to be saved")


def boot_id(cove, *options):
    return cove("run", *options, *SMALL, OS, "--", "cat", "/proc/sys/kernel/random/boot_id").out


def link_images(source: Path, target: Path):
    """Gives another state directory the images of this one; they are never written, so links do."""
    target.mkdir(mode=0o700, parents=True)
    subprocess.run(["cp", "-al", source / "_images", target / "_images"], check=True)


# --- a terminal --------------------------------------------------------------------------------------------

# Private parameters of "select graphic rendition" (xterm's modifyOtherKeys, which vi sets), for which pyte raises.
UNKNOWN_TO_PYTE = re.compile(rb"\x1b\[[>?][0-9;]*m")


class Terminal:
    """A pseudo terminal with `cove ARGS` on it, and the screen that a user would see."""

    def __init__(self, cove: Cove, *args, rows=24, columns=80, **options):
        self.master, self.slave = pty.openpty()
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.resize(rows, columns)
        self.attributes = termios.tcgetattr(self.slave)
        self.process = cove.popen(
            *args, stdin=self.slave, stdout=self.slave, stderr=self.slave,
            start_new_session=True, env={"TERM": "xterm"},
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def resize(self, rows: int, columns: int):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def send(self, text):
        data = text.encode() if isinstance(text, str) else text
        while data:
            data = data[os.write(self.master, data):]

    def pump(self, seconds: float):
        if select.select([self.master], [], [], seconds)[0]:
            data = os.read(self.master, 65536)
            self.raw += data
            self.stream.feed(UNKNOWN_TO_PYTE.sub(b"", data))

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    def expect(self, pattern: str, seconds=BOOT):
        """Waits until the output since the last match has `pattern`."""
        end = time.monotonic() + seconds
        while not (match := re.search(pattern.encode(), self.raw, re.S)):
            assert time.monotonic() < end, f"no {pattern!r} in {self.raw[-2000:]!r}"
            self.pump(0.5)
        self.raw = self.raw[match.end():]
        return match

    def until(self, condition, seconds=60):
        """Waits until the screen satisfies `condition(text)`."""
        end = time.monotonic() + seconds
        while not condition(self.text()):
            assert time.monotonic() < end, f"the screen never came to be so:\n{self.text()}"
            self.pump(0.5)

    def wait(self, seconds=BOOT) -> int:
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it does not end:\n{self.text()}"
            self.pump(0.1)
        while select.select([self.master], [], [], 0)[0]:
            self.pump(0)
        return self.process.returncode

    def is_restored(self) -> bool:
        return termios.tcgetattr(self.slave) == self.attributes


def free_space(path: Path) -> int:
    return shutil.disk_usage(path).free


def fill(cove, leave: int) -> Path:
    """Takes all room on the state directory's file system but `leave` bytes."""
    ballast = cove.root / "ballast"
    size = shutil.disk_usage(cove.root).free - leave
    with open(ballast, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    return ballast


needs_mount = pytest.mark.skipif(os.getuid() != 0, reason="mounts a small tmpfs: only root can")
