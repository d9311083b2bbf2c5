"""kill -9 of any process at any time: the next command works, nothing remains, nothing confirmed is lost."""

import os
import random
import subprocess
import time

import pytest

from support import BOOT, OS, SMALL, cove_processes, descendants, eventually, is_alive, kill, lock_holder

pytestmark = pytest.mark.timeout(3000)


def unreaped(cove) -> list[int]:
    """Processes that ended and that the daemon, to which they came, has not taken note of."""
    return [pid for pid in descendants(cove.daemon_pid()) if not is_alive(pid)]


def check(cove, confirmed: dict):
    """The invariants, after any fault. `confirmed`: instances whose creation was reported, and a file in each."""
    names = eventually(lambda: cove("list", check=False).status == 0 and cove.instances() is not None
                       and [cove.instances()], 120, "a working command")[0]
    missing = set(confirmed) - set(names)
    assert not missing, f"confirmed, and gone: {missing}"
    for entry in cove.home.iterdir():  # no directory without its instance
        if entry.is_dir() and not entry.name.startswith("_"):
            eventually(lambda e=entry: not e.exists() or e.name in cove.instances(), 60, f"{entry} to be owned or gone")
    for name in names:
        if cove.state(name) in ("created", "stopped", "failed"):
            assert not (holder := cove.supervisor_pid(name)), f"{name} has ended, and {holder} holds its lock"
            assert not (cove.home / name / "vm.sock").exists(), f"{name} has ended, and its socket remains"
    if all(cove.state(name) in ("created", "stopped", "failed") for name in names):
        eventually(lambda: not unreaped(cove), 60, "the daemon to reap what ended")
    staging = [p for p in (cove.home / "_images").iterdir() if not (p / "image.json").exists() and p.is_dir()]
    assert not staging, f"left in the image store: {staging}"


def no_orphans(cove, before):
    """After everything was deleted and the daemon stopped."""
    cove.clear()
    eventually(lambda: not set(cove_processes()) - before, 60, "processes to end")
    left = [p.name for p in cove.home.iterdir() if p.is_dir() and not p.name.startswith("_")]
    assert left == []
    assert not list(cove.runtime.rglob("*.sock")), "a socket remains"
    assert lock_holder(cove.home / "life.lock") is None


# In the guest: the respawner is the first process's child, the agent is the respawner's.
RESPAWNER = "respawner=$(pgrep -x -P 1 cove-agent); "
AGENT = RESPAWNER + "agent=$(pgrep -x -P $respawner cove-agent | head -1); "
VICTIMS = ["client", "daemon", "supervisor", "qemu", "network", "respawner", "agent"]


def strike(cove, victim: str, name: str, client):
    """Kills one process of the instance `name`. Whoever is not there cannot be killed: that is no failure."""
    if victim == "client":
        kill(client.pid)
    elif victim == "daemon" and (pid := cove.daemon_pid()):
        kill(pid)
    elif victim == "supervisor" and (pid := cove.supervisor_pid(name)):
        kill(pid)
    elif victim == "qemu" and (pid := cove.qemu_pid(name)):
        kill(pid)
    elif victim == "network" and (pid := cove.network_pid(name)):
        kill(pid)
    elif victim == "respawner":
        cove.sh(name, RESPAWNER + "kill -9 $respawner", check=False)
    elif victim == "agent":
        cove.sh(name, AGENT + "kill -9 $agent", check=False)


@pytest.mark.parametrize("victim", VICTIMS)
def test_killed_under_load(cove, victim):
    """A machine with a busy client; one process is killed; what was written and synced before is there after."""
    before = set(cove_processes())
    cove("start", "--name", "busy", *SMALL, OS)
    cove.sh("busy", "echo precious >/root/precious; sync")
    load = cove.popen("shell", "--user", "root", "busy", "--", "sh", "-c", "cat /dev/zero", stdout=subprocess.DEVNULL)
    time.sleep(1)
    strike(cove, victim, "busy", load)
    if victim in ("supervisor", "qemu", "agent"):  # its command ended, and says whose fault it was
        assert load.wait(BOOT) == 125
    check(cove, {"busy": None})
    if victim == "network":
        info = eventually(lambda: (i := cove.json("info", "busy"))["degraded"] and i, 30, "the network's end to be said")
        assert "cove restart busy" in info["reason"]
        assert not unreaped(cove)
    if victim in ("supervisor", "qemu"):
        eventually(lambda: cove.state("busy") in ("failed", "stopped"), 60, "the end to be known")
    else:
        assert cove.sh("busy", "echo alive").out == "alive"
    cove("start", "busy")
    assert cove.sh("busy", "cat /root/precious").out == "precious"
    if load.poll() is None:
        load.kill()
    load.communicate()
    no_orphans(cove, before)


def test_agent_and_respawner_are_killed_by_turns(cove):
    """Each starts the other again, as long as they are not killed at once."""
    cove("start", "--name", "pair", *SMALL, OS)
    pair = lambda: cove.sh("pair", "pgrep -x cove-agent", check=False).out.split()
    for oldest in (True, False, True, True, False, False):  # the older one is the respawner, or its agent
        before = eventually(lambda: len(p := pair()) == 2 and p, 60, "an agent and a respawner")
        cove.sh("pair", f"kill -9 {before[0 if oldest else 1]}", check=False)
        eventually(lambda: len(now := pair()) == 2 and set(now) != set(before), 60, "another in its place")
    assert cove.state("pair") == "ready"


@pytest.mark.parametrize("step", range(12))
def test_daemon_killed_during_create(cove, step):
    """At moments spread over the creation: afterwards the instance is whole, or there is none."""
    cove("list")
    client = cove.popen("create", "--name", "part", *SMALL, OS)
    time.sleep(step * 0.02)
    if pid := cove.daemon_pid():
        kill(pid)
    client.communicate(timeout=BOOT)
    check(cove, {"part": None} if client.returncode == 0 else {})
    if "part" in cove.instances():
        info = cove.json("info", "part")
        assert (cove.home / "part" / "disk").exists() and info["state"] == "created"
        cove("delete", "part")
    cove("create", "--name", "part", *SMALL, OS)


@pytest.mark.parametrize("step", range(6))
def test_daemon_killed_during_delete(cove, step):
    cove("create", "--name", "doomed", *SMALL, OS)
    client = cove.popen("delete", "doomed")
    time.sleep(step * 0.01)
    if pid := cove.daemon_pid():
        kill(pid)
    client.communicate(timeout=BOOT)
    check(cove, {})
    if client.returncode == 0:
        assert cove.instances() == []
    elif "doomed" in cove.instances():
        cove("delete", "doomed")
    assert not (cove.home / "doomed").exists()


@pytest.mark.parametrize("victim", ["client", "daemon", "supervisor", "qemu"])
def test_killed_during_start(cove, victim):
    before = set(cove_processes())
    cove("create", "--name", "early", *SMALL, OS)
    client = cove.popen("start", "early")
    eventually(lambda: cove.qemu_pid("early"), 120, "QEMU")
    strike(cove, victim, "early", client)
    client.communicate(timeout=BOOT)
    check(cove, {"early": None})
    cove("start", "early")
    assert cove.sh("early", "echo fine").out == "fine"
    no_orphans(cove, before)


@pytest.mark.parametrize("victim", ["client", "daemon", "supervisor", "qemu"])
def test_killed_during_run(cove, victim):
    """The machine of a `run` is gone after, whoever was killed; except that the daemon's death changes nothing."""
    before = set(cove_processes())
    client = cove.popen("run", "--name", "short", *SMALL, OS, "--", "sh", "-c", "echo on; sleep 3; echo done")
    assert client.stdout.readline() == b"on\n"
    strike(cove, victim, "short", client)
    stdout, _ = client.communicate(timeout=BOOT)
    if victim == "daemon":
        assert (stdout, client.returncode) == (b"done\n", 0)
    elif victim != "client":
        assert client.returncode == 125
    eventually(lambda: cove.instances() == [], 120, "the machine to be deleted")
    check(cove, {})
    no_orphans(cove, before)


class Driver:
    """Random operations and random kills, from one seed."""

    def __init__(self, cove, seed: int):
        self.cove, self.random = cove, random.Random(seed)
        self.confirmed: dict[str, None] = {}
        self.counter = 0
        self.history: list[str] = []

    def note(self, text: str):
        self.history.append(text)
        print(text, flush=True)

    def operation(self):
        """One client and what its success confirms."""
        choices = ["create", "list", "image"]
        if self.confirmed:
            choices += ["delete", "start", "stop", "shell"]
        kind = self.random.choice(choices)
        name = self.random.choice(sorted(self.confirmed)) if self.confirmed else ""
        if kind == "create":
            self.counter += 1
            name = f"n{self.counter}"
            return kind, name, self.cove.popen("create", "--name", name, *SMALL, OS)
        if kind == "list":
            return kind, "", self.cove.popen("list")
        if kind == "image":
            return kind, "", self.cove.popen("image", "list")
        if kind == "delete":
            del self.confirmed[name]  # from now on both are right
            return kind, name, self.cove.popen("delete", "--force", name)
        if kind == "shell":
            return kind, name, self.cove.popen("shell", "--user", "root", name, "--", "true")
        return kind, name, self.cove.popen(kind, *(["--force"] if kind == "stop" else []), name)

    def round(self):
        running = [self.operation() for _ in range(self.random.randint(1, 3))]
        time.sleep(self.random.random() ** 3 * 4)
        victim = self.random.choice(["client", "daemon", "supervisor", "qemu", "network"])
        name = running[0][1]
        self.note(f"{[(k, n) for k, n, _ in running]}, kill {victim}")
        strike(self.cove, victim, name or "none", running[0][2])
        for kind, name, client in running:
            try:
                client.communicate(timeout=BOOT)
            except subprocess.TimeoutExpired:
                client.kill()
                raise AssertionError(f"{kind} {name} hangs; before: {self.history}")
            if kind == "create" and client.returncode == 0:
                self.confirmed[name] = None
        check(self.cove, self.confirmed)


def test_random_faults(cove, pytestconfig):
    """The seed is printed; --seed N repeats it."""
    seed = pytestconfig.getoption("--seed") or int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    before = set(cove_processes())
    driver = Driver(cove, seed)
    for _ in range(60 if pytestconfig.getoption("--full") else 12):
        driver.round()
    no_orphans(cove, before)
