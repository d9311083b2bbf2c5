"""Machines that wait, ready, for the next run of their kind."""

import os
import signal

import pytest

from support import OS, SMALL, boot_id, eventually

SIZE = 2


@pytest.fixture
def pool(saved):
    saved.environment["COVE_RUN_POOL"] = str(SIZE)
    boot_id(saved)
    await_waiting(saved)
    yield saved


def waiting(cove):
    return [i["name"] for i in cove.json("list") if i["waiting"] and not i["operation"]]


def await_waiting(cove):
    return eventually(lambda: len(names := waiting(cove)) == SIZE and names, 120, "machines to wait")


def hostname(cove, *options):
    return cove("run", *options, *SMALL, OS, "--", "hostname").out


def test_runs_take_those_that_wait(pool):
    names = await_waiting(pool)
    assert "waiting" in pool("list").out and "Of those, for a run" in pool("daemon", "state").out
    assert sorted(hostname(pool) for _ in range(SIZE)) == names
    names = await_waiting(pool)  # others
    assert hostname(pool) in names


def test_each_is_a_machine_of_its_own(pool):
    seen = set()
    for _ in range(2 * SIZE):
        await_waiting(pool)
        drawn = pool("run", *SMALL, OS, "--", "sh", "-c", "cat /etc/machine-id /proc/sys/kernel/random/uuid").out
        seen |= set(drawn.split())
    assert len(seen) == 4 * SIZE


def test_streams_and_status_are_those_of_any_run(pool):
    result = pool("run", *SMALL, OS, "--", "sh", "-c", "cat; echo err >&2; exit 7", input=b"in\n", check=False)
    assert (result.status, result.out, result.err) == (7, "in", "err")


def test_what_is_asked_for_otherwise_does_not_wait(pool):
    names = await_waiting(pool)
    assert hostname(pool, "--name", "mine") == "mine"
    assert hostname(pool, "--cold") not in names
    assert waiting(pool) == names
    assert hostname(pool, "--disk", "50G") not in names  # another kind, of which none is saved
    assert waiting(pool) == names


def test_they_can_be_deleted_and_die(pool):
    first, second = await_waiting(pool)
    refused = pool("shell", first, "--", "true", check=False)
    assert refused.status == 125 and "waits for a run" in refused.err
    pool("delete", "--force", first)
    os.kill(pool.qemu_pid(second), signal.SIGKILL)
    eventually(lambda: second not in pool.instances(), 30, f"{second} to be gone")
    assert hostname(pool)
    await_waiting(pool)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_they_end_with_the_daemon(pool, end):
    supervisors = [pool.supervisor_pid(name) for name in await_waiting(pool)]
    if end == "stop":
        pool("daemon", "stop")
    else:
        os.kill(pool.daemon_pid(), signal.SIGKILL)
    eventually(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in supervisors), 30, "machines to end")
    eventually(lambda: pool.instances() == [], 30, "instances to be deleted")


def test_they_end_when_nobody_runs_one(saved):
    saved.environment |= {"COVE_RUN_POOL": "1", "COVE_IDLE_TIMEOUT": "5s"}
    boot_id(saved)
    eventually(lambda: saved.daemon_pid() is None, 60, "the daemon to end, as it does without them")
    saved.environment["COVE_RUN_POOL"] = "0"
    eventually(lambda: saved.instances() == [], 30, "instances to be deleted")


def test_an_image_is_not_in_use_by_them(pool):
    [image] = pool.json("image", "list")
    pool("image", "delete", image["digest"])
    assert pool.instances() == []


def test_a_size_that_is_none_is_refused(saved):
    saved.environment["COVE_RUN_POOL"] = "many"
    result = saved("list", check=False)
    assert result.status == 1
    assert "COVE_RUN_POOL=many" in result.err and "0 to 64" in result.err
    del saved.environment["COVE_RUN_POOL"]
