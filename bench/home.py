"""A state directory of the benchmark's own, its processes, and the store of images that all of them share."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from harness import Failed, progress, timed

CPUS = 2
MEMORY_MIB = 512
SMALL = ("--cpus", str(CPUS), "--memory", f"{MEMORY_MIB}M")
LIMIT = 1800  # seconds: only a hang reaches it, or an archive that is very far away


def link_images(source, target):
    """Gives one state directory (or the store's) the images of another: hard links, or copies where none work."""
    for directory in Path(source).glob("_images/" + "?" * 64):
        if (target / "_images" / directory.name).exists():
            continue
        (target / "_images").mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            shutil.copytree(directory, target / "_images" / directory.name, copy_function=os.link)
        except (OSError, shutil.Error):
            shutil.rmtree(target / "_images" / directory.name, ignore_errors=True)
            subprocess.run(["cp", "-a", "--sparse=always", directory, target / "_images"], check=True)


class Home:
    """`with Home(…) as home:` a state directory without instances; at the end everything of it is gone."""

    def __init__(self, binaries, area, os_name, saved_limit="0"):
        self.binaries = binaries
        self.area = area
        self.os_name = os_name
        area.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root = Path(tempfile.mkdtemp(prefix="home-", dir=area))
        self.path = self.root / "state"
        self.path.mkdir(mode=0o700)
        self.runtime = self.root / "run"
        self.runtime.mkdir(mode=0o700)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("COVE_", "XDG_"))}
        self.environment |= {k: v for k, v in os.environ.items() if k == "COVE_MIRROR"}
        self.environment |= {"COVE_HOME": str(self.path), "XDG_RUNTIME_DIR": str(self.runtime),
                             "COVE_SAVED_LIMIT": saved_limit}
        link_images(area, self.path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            if (self.path / "cove.db").exists():
                for instance in json.loads(self("list", "--output", "json")):
                    self("delete", "--force", instance["name"])
                self("daemon", "stop")
            if left := self.daemons():
                raise Failed(f"daemons are left: {left}")
        finally:
            shutil.rmtree(self.root, ignore_errors=True)

    def argv(self, *arguments):
        return [str(a) for a in (self.binaries / "cove", *arguments)]

    def __call__(self, *arguments):
        """The output of a command of cove that must succeed."""
        done = subprocess.run(self.argv(*arguments), env=self.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=LIMIT)
        if done.returncode != 0:
            raise Failed(f"cove {' '.join(map(str, arguments))}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode(errors="replace")

    def timed(self, *arguments):
        """Seconds that the whole process of a command took."""
        return timed(self.argv(*arguments), self.environment)

    def create(self, name):
        if not list(self.path.glob("_images/" + "?" * 64)):
            progress(f"making the image of {self.os_name}; the next run has it")
        self("create", "--quiet", "--name", name, *SMALL, self.os_name)
        link_images(self.path, self.area)

    def delete(self, name):
        self("delete", "--force", name)

    @contextlib.contextmanager
    def instance(self, name="bench"):
        """A running instance, ready."""
        self.create(name)
        try:
            progress("starting an instance…")
            self("start", "--quiet", name)
            yield name
        finally:
            self.delete(name)

    def info(self, name):
        return json.loads(self("info", name, "--output", "json"))

    def qemu_command(self, name):
        """The command line of a running instance's QEMU."""
        line = _contents(f"/proc/{self.info(name)['qemuPid']}/cmdline")
        return [os.fsdecode(a) for a in line.split(b"\0")[:-1]]

    def image_of(self, name):
        return self.path / "_images" / self.info(name)["image"]

    def daemons(self):
        """Processes that serve this state directory."""
        arguments = b"\0--home\0" + os.fsencode(self.path) + b"\0"
        return [int(p.name) for p in Path("/proc").glob("[0-9]*") if arguments in _contents(p / "cmdline")]

    def processes_of(self, name):
        """{"qemu": pids, "vm": pids, "network": pids} of a running instance."""
        qemu = self.info(name)["qemuPid"]
        supervisor = parent(qemu)
        network = [p for p in descendants(supervisor) if _contents(f"/proc/{p}/comm") == b"cove-network\n"]
        return {"qemu": [qemu], "vm": [supervisor], "network": network}

    def stop_daemon(self):
        self("daemon", "stop")
        deadline = time.monotonic() + 10
        while self.daemons():
            if time.monotonic() > deadline:
                raise Failed("the daemon does not end")
            time.sleep(0.001)


def _contents(path):
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def parent(pid):
    fields = _contents(f"/proc/{pid}/stat").rpartition(b")")[2].split()  # a name may hold anything
    return int(fields[1]) if fields else 0


def descendants(pid):
    parents = {int(p.name): parent(p.name) for p in Path("/proc").glob("[0-9]*")}
    found = {pid}
    while more := {p for p, of in parents.items() if of in found} - found:
        found |= more
    return sorted(found - {pid})
