"""coved: starts by itself, exactly once, and comes back from whatever ended it."""

import os
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import time

import pytest

from support import BIN, PROGRAMS, Cove, comm, cove_processes, eventually, is_alive, kill

pytestmark = pytest.mark.timeout(900)
STARTING = "starting daemon"


def daemons(before=()):
    return [p for p, name in cove_processes().items() if name == "coved" and p not in before]


@pytest.mark.smoke
def test_starts_by_itself_and_stays(empty):
    first = empty("list")
    assert STARTING in first.err and first.out == empty("list").out
    assert STARTING not in empty("list").err
    pid = empty.daemon_pid()
    assert comm(pid) == "coved"
    state = empty.json("daemon", "state")
    assert state["pid"] == pid
    assert state["stateDirectory"] == str(empty.home)


def test_nothing_on_stdout_at_start(empty):
    assert empty.json("list") == []


def test_state_and_stop_never_start_it(empty):
    state = empty("daemon", "state", check=False)
    assert "no daemon is running" in state.out + state.err
    empty("daemon", "stop")
    assert not empty.daemon_pid()


def test_stop_is_idempotent_and_the_next_command_starts_it(empty):
    empty("list")
    pid = empty.daemon_pid()
    empty("daemon", "stop")
    assert not is_alive(pid)
    empty("daemon", "stop")
    empty("list")
    assert empty.daemon_pid() not in (None, pid)


def test_cold_starts(empty, pytestconfig):
    """Start, command, stop; every one of them right."""
    for _ in range(200 if pytestconfig.getoption("--full") else 60):
        assert empty.json("list") == []
        empty("daemon", "stop")
        assert not empty.daemon_pid()


def test_storm_of_clients_starts_one(empty):
    before = daemons()
    clients = [empty.popen("list", "--output", "json") for _ in range(300)]
    for client in clients:
        stdout, stderr = client.communicate(timeout=300)
        assert (client.returncode, stdout.strip()) == (0, b"[]"), stderr
    assert daemons(before) == [empty.daemon_pid()]


def test_storm_while_it_is_killed(empty):
    """Clients that meet a dying daemon connect to the next one."""
    for _ in range(5):
        empty("list")
        clients = [empty.popen("list", "--output", "json") for _ in range(20)]
        kill(empty.daemon_pid())
        for client in clients:
            client.communicate(timeout=300)  # one may lose its answer with the daemon that had it
        assert empty.json("list") == []


def test_killed_daemon(empty):
    empty("list")
    kill(empty.daemon_pid())
    assert empty.json("list") == []


def test_socket_removed(empty):
    """Its socket is bound again, or the next command finds another way; never two daemons."""
    before = daemons()
    empty("list")
    shutil.rmtree(empty.runtime / "cove")
    assert eventually(lambda: empty("list", check=False).status == 0, 120, "an answer")
    eventually(lambda: len(daemons(before)) == 1, 60, "one daemon")


def test_runtime_directory_of_another_login(empty):
    """The daemon is found where it was started, and `state` and `stop` find it too."""
    empty("list")
    pid = empty.daemon_pid()
    other = empty.root / "other"
    other.mkdir(mode=0o700)
    elsewhere = {"env": {"XDG_RUNTIME_DIR": str(other)}}
    assert STARTING not in empty("list", **elsewhere).err
    assert empty.json("daemon", "state", **elsewhere)["pid"] == pid
    empty("daemon", "stop", **elsewhere)
    assert not is_alive(pid) and not list(empty.runtime.rglob("*.sock"))


def test_stop_without_a_socket(empty):
    """It is the lock that says whether a daemon runs."""
    empty("list")
    pid = empty.daemon_pid()
    shutil.rmtree(empty.runtime / "cove")
    empty("daemon", "stop")
    assert not is_alive(pid)


def fill_backlog(path) -> list[socket.socket]:
    """Connects until the listener's queue has no room."""
    waiting = []
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        try:
            client.connect(str(path))
        except BlockingIOError:
            return waiting
        waiting.append(client)


@pytest.mark.parametrize("crowded", [False, True])
def test_stopped_daemon_hangs_nobody(empty, crowded):
    empty("list")
    pid = empty.daemon_pid()
    os.kill(pid, signal.SIGSTOP)
    crowd = fill_backlog(*(empty.runtime / "cove").glob("*.sock")) if crowded else []
    result = empty("list", check=False, timeout=60)
    assert result.status == 1 and "does not answer" in result.err
    assert "cove daemon stop" in result.err or crowded
    empty("daemon", "stop", timeout=90)
    assert not is_alive(pid)
    for client in crowd:
        client.close()
    assert empty.json("list") == []


def test_daemon_continued_in_time(empty):
    """One that slept for a moment has lost nobody."""
    empty("list")
    os.kill(empty.daemon_pid(), signal.SIGSTOP)
    client = empty.popen("list", "--output", "json")
    time.sleep(1)
    os.kill(empty.daemon_pid(), signal.SIGCONT)
    assert (client.communicate(timeout=60)[0].strip(), client.returncode) == (b"[]", 0)


def test_older_daemon_gives_way(empty, area):
    """A newer build replaces a daemon that does nothing; another serves on, which only `daemon state` tells."""
    programs = area / "newer"
    shutil.copytree(BIN, programs)
    list_with = lambda: subprocess.run([programs / "cove", "list"], env=empty.environment, capture_output=True,
                                       timeout=120)
    assert list_with().returncode == 0
    first = empty.daemon_pid()
    list_with()
    assert empty.daemon_pid() == first
    shutil.copy(BIN / "coved", programs / "coved.new")
    (programs / "coved.new").rename(programs / "coved")
    with socket.socket(socket.AF_UNIX) as busy:
        busy.connect(str(*(empty.runtime / "cove").glob("*.sock")))
        kept = list_with()
        assert kept.returncode == 0 and b"older" not in kept.stderr
        state = subprocess.run([programs / "cove", "daemon", "state"], env=empty.environment, capture_output=True)
        assert b"Older than cove" in state.stdout
        assert empty.daemon_pid() == first
    assert eventually(lambda: list_with().returncode == 0 and empty.daemon_pid() != first, 60, "a new daemon")
    second = empty.daemon_pid()
    assert not is_alive(first)
    # An older client uses the newer daemon.
    os.utime(programs / "coved", (0, 0))
    assert list_with().returncode == 0 and empty.daemon_pid() == second


def test_idle_daemon_ends(empty):
    """After its idle time, when no client and no machine is there."""
    empty("list", env={"COVE_IDLE_TIMEOUT": "1s"})
    pid = empty.daemon_pid()
    assert pid
    eventually(lambda: not is_alive(pid), 120, "the daemon to end by itself")
    assert empty.json("list") == []


def test_long_paths(area, nothing_left):
    """A socket's path may be longer than sun_path holds."""
    cove = Cove(area / ("x" * 100) / ("y" * 100))
    assert cove.json("list") == []
    cove.clear()


def test_missing_daemon_binary(empty, area):
    lone = area / "lone"
    lone.mkdir(exist_ok=True)
    shutil.copy(BIN / "cove", lone / "cove")
    result = subprocess.run([lone / "cove", "list"], env=empty.environment, capture_output=True)
    assert result.returncode == 1
    assert b"coved not found (looked in" in result.stderr
    assert str(lone).encode() in result.stderr


def test_crash_loop_is_broken(empty, area):
    """A daemon that dies at its start is not started for ever, and its log is shown."""
    broken = area / "broken"
    broken.mkdir(exist_ok=True)
    for program in BIN.iterdir():
        if program.name != "coved":
            shutil.copy(program, broken / program.name)
    (broken / "coved").write_text("#!/bin/sh\necho the-cause >&2\nexit 1\n")
    (broken / "coved").chmod(0o755)
    for _ in range(5):
        result = subprocess.run([broken / "cove", "list"], env=empty.environment, capture_output=True, timeout=120)
        assert result.returncode == 1, result
        assert b"daemon" in result.stderr
    assert b"the-cause" in result.stderr, "the log is shown"
    # Given up for a while, also for a daemon that would work; the way out is named, and is one.
    assert "cove daemon start" in empty("list", check=False).err
    empty("daemon", "start")
    assert empty.json("list") == []


def test_state_directory_open_to_others(empty):
    empty.home.mkdir(mode=0o755)
    empty.home.chmod(0o755)
    result = empty("list", check=False)
    assert result.status == 1
    assert str(empty.home) in result.err and "chmod" in result.err
    assert not any(empty.home.iterdir())
    empty.home.chmod(0o700)


def test_state_directory_of_another_user(empty):
    other = "/root" if os.getuid() else None
    if other is None:
        empty.home.mkdir(mode=0o700)
        os.chown(empty.home, 1, 1)
        other = empty.home
    result = empty("list", check=False, env={"COVE_HOME": str(other)})
    assert result.status == 1 and str(other) in result.err
    if os.getuid() == 0:
        os.chown(empty.home, 0, 0)


def test_state_directory_that_is_a_file_or_a_link(empty, area):
    empty.home.write_text("")
    assert empty("list", check=False).status == 1
    empty.home.unlink()
    elsewhere = area / "elsewhere"
    elsewhere.mkdir(mode=0o700, exist_ok=True)
    empty.home.symlink_to(elsewhere)
    result = empty("list", check=False)
    assert result.status in (0, 1)  # following it is fine: it is the user's own
    empty("daemon", "stop", check=False)
    empty.home.unlink()


def test_relative_state_directory(empty):
    result = empty("list", check=False, env={"COVE_HOME": "relative"})
    assert result.status == 1 and "COVE_HOME" in result.err


def test_runtime_directory_open_to_others(empty):
    empty.runtime.chmod(0o777)
    result = empty("list", check=False)
    empty.runtime.chmod(0o700)
    if result.status == 0:  # it was ignored, and another one found
        assert not (empty.runtime / "cove").exists()
        empty("daemon", "stop")
    else:
        assert "XDG_RUNTIME_DIR" in result.err


def test_database_of_a_newer_version(empty):
    empty("list")
    empty("daemon", "stop")
    with sqlite3.connect(empty.home / "cove.db") as database:
        database.execute("PRAGMA user_version = 1000000")
    database.close()
    before = (empty.home / "cove.db").read_bytes()
    result = empty("list", check=False)
    assert result.status == 1 and "newer" in result.err
    assert (empty.home / "cove.db").read_bytes() == before
    with sqlite3.connect(empty.home / "cove.db") as database:
        database.execute("PRAGMA user_version = 1")
    database.close()


def test_database_that_is_garbage(empty):
    empty("list")
    empty("daemon", "stop")
    good = (empty.home / "cove.db").read_bytes()
    (empty.home / "cove.db").write_bytes(os.urandom(8192))
    result = empty("list", check=False)
    (empty.home / "cove.db").write_bytes(good)
    assert result.status == 1 and "cove.db" in result.err


def test_garbage_on_the_socket(empty):
    empty("list")
    path, = (empty.runtime / "cove").glob("*.sock")
    for junk in (b"", b"\0" * 8, b"\xff" * 4096, b"GET / HTTP/1.1\r\n\r\n", os.urandom(1 << 20)):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(path))
            try:
                client.sendall(junk)
                client.shutdown(socket.SHUT_WR)
                client.recv(65536)
            except OSError:
                pass
        assert empty.json("list") == []


def test_clients_that_say_nothing_stop_nobody(empty):
    empty("list")
    path, = (empty.runtime / "cove").glob("*.sock")
    silent = []
    for _ in range(100):
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(path))
        silent.append(client)
    assert empty.json("list") == []
    for client in silent:
        client.close()


def test_daemon_inherits_nothing(empty):
    """Neither descriptors nor the terminal of who started it."""
    read, write = os.pipe()
    os.set_inheritable(write, True)
    empty("list", pass_fds=(write,))
    os.close(write)
    assert os.read(read, 1) == b""  # nobody holds the other end
    os.close(read)
    pid = empty.daemon_pid()
    assert os.getsid(pid) != os.getsid(0)


def test_few_descriptors(empty):
    """A low limit is an error or enough, never a hang."""
    result = empty("list", check=False,
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (12, 12)))
    assert result.status in (0, 1)


@pytest.mark.parametrize("closed", [[0], [1], [2], [0, 1], [1, 2], [0, 1, 2]])
def test_closed_standard_streams(empty, closed):
    """Missing descriptors 0 to 2 never become sockets or locks."""
    def close():
        for fd in closed:
            os.close(fd)

    process = empty.popen("list", preexec_fn=close)
    process.communicate(timeout=120)
    assert process.returncode in (0, 1)
    assert empty.json("list") == []
