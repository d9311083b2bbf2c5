"""Bad input and bad luck: one clear error each, and nothing changed."""

import os
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from support import BIN, BOOT, OS, SMALL, Cove, eventually, fill, is_alive, kill, link_images, needs_mount

pytestmark = pytest.mark.timeout(1200)


def refused(cove, *args, said: str, status=1, **options):
    """The command fails with one error that has `said`, and leaves no instance."""
    before = sorted(p.name for p in cove.home.iterdir()) if cove.home.exists() else []
    result = cove("--quiet", *args, check=False, **options)
    assert result.status == status, result.err
    assert said in result.err, result.err
    assert len([l for l in result.err.splitlines() if l.startswith("cove: ")]) == 1, result.err
    assert "terminate called" not in result.err and "exception" not in result.err.lower(), result.err
    assert "\x1b" not in result.err
    own = ("_", "cove", "life", "start", "acceleration")
    new = lambda: [p.name for p in cove.home.iterdir() if p.name not in before and not p.name.startswith(own)]
    eventually(lambda: not cove.home.exists() or not new(), 30, "what was begun to be gone")
    return result


@pytest.mark.smoke
@pytest.mark.parametrize("name", ["a" * 64, "x" * 300, "UPPER", "with space", "-dash", "9", "a/b", "..", "a.b",
                                  "ä", "a\nb", "a\x1b[31m", "_images"])
def test_invalid_name(cove, name):
    refused(cove, "create", f"--name={name}", OS, said="name", status=2)
    refused(cove, "run", f"--name={name}", OS, "--", "true", said="name", status=125)


def test_taken_name(cove):
    cove("create", "--name", "taken", *SMALL, OS)
    identity = cove.json("info", "taken")
    for again in (("create", "--name", "taken", OS), ("start", "--name", "taken", OS)):
        refused(cove, *again, said="taken")
    refused(cove, "run", "--name", "taken", OS, "--", "true", said="taken", status=125)
    assert cove.json("info", "taken")["id"] == identity["id"]


@pytest.mark.parametrize("system", ["debian:99", "debian", "debian:", "debain:12", "windows:95", ":", "", "debian:12:x",
                                    "../debian:12", "x" * 5000, "debian:12\x1b[31m"])
def test_unknown_system(empty, system):
    result = refused(empty, "create", "--name", "n", system, said="", status=2)
    assert result.err
    if system == "debain:12":
        assert "debian:12" in result.err


@pytest.mark.parametrize("command", ["info", "stop", "restart", "delete", "logs", "console", "ps"])
def test_missing_instance(cove, command):
    refused(cove, command, "nobody", said="nobody")


@pytest.mark.parametrize("arguments", [
    ["--no-such-option"], ["no-such-command"], ["craete"], ["create"], ["run"], ["list", "surplus"],
    ["list", "--output", "xml"], ["create", "--cpus", "0", OS], ["create", "--cpus", "-1", OS],
    ["create", "--cpus", "many", OS], ["create", "--memory", "lots", OS], ["create", "--memory", "1", OS],
    ["create", "--disk", "-5G", OS], ["create", "--disk", "99999999999999999999T", OS]])
def test_usage(empty, arguments):
    result = refused(empty, *arguments, said="", status=125 if arguments == ["run"] else 2)
    assert result.err
    if arguments == ["craete"]:
        assert "create" in result.err


def test_more_than_the_host_has(cove):
    refused(cove, "run", "--memory", "100T", OS, "--", "true", said="memory", status=125)
    refused(cove, "run", "--cpus", "4000", OS, "--", "true", said="cpu", status=125)


def test_no_qemu(cove, area):
    """A PATH without QEMU: said at the start, with the package that has it."""
    path = area / "no-qemu"
    path.mkdir(exist_ok=True)
    for directory in ("/usr/bin", "/bin", "/usr/sbin", "/sbin"):
        for program in Path(directory).iterdir():
            if not program.name.startswith("qemu-system") and not (path / program.name).exists():
                (path / program.name).symlink_to(program)
    cove("daemon", "stop")
    refused(cove, "run", *SMALL, OS, "--", "true", said="qemu-system-x86", status=125, env={"PATH": str(path)})


def fake_qemu(cove, area, name: str, script: str) -> dict:
    """An environment whose qemu-system-x86_64 is a script that may call the real one as $REAL."""
    path = area / f"qemu-{name}"
    path.mkdir(exist_ok=True)
    program = path / "qemu-system-x86_64"
    program.write_text(f"#!/bin/sh\nREAL={shutil.which('qemu-system-x86_64')}\n{script}\n")
    program.chmod(0o755)
    cove("daemon", "stop")
    return {"PATH": f"{path}:{cove.environment['PATH']}"}


def test_qemu_that_dies_at_start(cove, area):
    environment = fake_qemu(cove, area, "dies", "echo the-cause >&2; exit 1")
    refused(cove, "run", *SMALL, OS, "--", "true", said="", status=125, env=environment)


def test_qemu_killed_while_running(cove):
    cove("start", "--name", "struck", *SMALL, OS)
    client = cove.popen("shell", "--user", "root", "struck", "--", "sh", "-c", "echo on; sleep 1000")
    assert client.stdout.readline() == b"on\n"
    kill(cove.qemu_pid("struck"))
    client.communicate(timeout=BOOT)
    assert client.returncode == 125
    assert cove.wait_state("struck", "failed", "stopped") == "failed"
    assert cove.json("info", "struck")["reason"]
    cove("start", "struck")
    assert cove.state("struck") == "ready"


def test_kernel_panic(cove):
    cove("start", "--name", "panic", *SMALL, OS)
    cove.popen("shell", "--user", "root", "panic", "--", "sh", "-c", "echo c >/proc/sysrq-trigger").communicate(timeout=BOOT)
    assert cove.wait_state("panic", "failed") == "failed"
    assert "panic" in cove.json("info", "panic")["reason"].lower()
    cove("start", "panic")


def guest_as_attacker(cove, name: str, script: str):
    """Ends the agent in the guest and puts `script` on its port; the respawner is stopped before."""
    cove("start", "--name", name, *SMALL, OS)
    body = f"""
        port=/dev/$(grep -lx org.cove.agent /sys/class/virtio-ports/*/name | cut -d/ -f5)
        for pid in $(pgrep cove-agent; pgrep -x init); do [ $pid = 1 ] || kill -STOP $pid; done
        for pid in $(pgrep cove-agent); do kill -9 $pid; done
        sleep 1; {script}"""
    cove.sh(name, f"setsid sh -c '{body}' >/dev/null 2>&1 &", check=False, timeout=BOOT)


@pytest.mark.parametrize("name,script", [
    ("garbage", "while :; do head -c 1M /dev/urandom; done >$port"),
    ("flood", "while :; do head -c 16M /dev/zero; done >$port"),
    ("stall", "sleep 1000 <$port"),
])
def test_hostile_agent(cove, name, script):
    """The host stays well: others are served, the supervisor keeps its size, and a forced stop works."""
    guest_as_attacker(cove, name, script)
    time.sleep(5)
    client = cove.popen("shell", "--user", "root", name, "--", "true")
    assert cove.state(name)
    status = Path(f"/proc/{cove.supervisor_pid(name)}/status").read_text()
    rss = int(status.split("VmRSS:")[1].split()[0])
    assert rss < 64 * 1024, status
    cove("stop", "--force", name)
    client.communicate(timeout=BOOT)
    assert client.returncode != 0
    cove("start", name)
    assert cove.state(name) == "ready"


@needs_mount
@pytest.mark.smoke
def test_no_room_for_an_image(small_disk):
    small_disk("list")
    ballast = fill(small_disk, 20 << 20)
    result = refused(small_disk, "create", "--name", "n", *SMALL, OS, said="space", timeout=1200)
    assert str(small_disk.home) in result.err
    assert not [p for p in (small_disk.home / "_images").glob("*")] if (small_disk.home / "_images").exists() else True
    ballast.unlink()


@needs_mount
@pytest.mark.smoke
def test_disk_full_while_running(small_disk_with_image):
    """The machine pauses, says so, and goes on when there is room."""
    cove = small_disk_with_image
    cove("start", "--name", "full", *SMALL, OS)
    ballast = fill(cove, 30 << 20)
    client = cove.popen("shell", "--user", "root", "full", "--", "sh", "-c",
                        "head -c 200M /dev/urandom >/root/much && sync && echo written")
    cove.wait_state("full", "paused")
    assert cove.json("info", "full")["reason"]
    ballast.unlink()
    cove.wait_state("full", "ready")
    stdout, stderr = client.communicate(timeout=BOOT)
    assert stdout == b"written\n", stderr


@needs_mount
@pytest.mark.smoke
def test_delete_on_a_full_disk(small_disk_with_image):
    """Not a byte is left, and deleting is what makes room: also for a daemon that starts only then."""
    cove = small_disk_with_image
    cove("create", "--name", "still", *SMALL, OS)
    cove("start", "--name", "busy", *SMALL, OS)
    fill(cove, 0)
    cove.popen("shell", "--user", "root", "busy", "--", "sh", "-c", "head -c 50M /dev/urandom >/root/x; sync")
    cove.wait_state("busy", "paused")
    cove("daemon", "stop")
    cove("delete", "still")
    cove("delete", "--force", "busy")
    assert cove.instances() == []


def test_no_subids(area, nothing_left):
    """Refused before any work, with the command that mends it."""
    if os.getuid() == 0:
        pytest.skip("root needs no sub-ids")
    import pwd

    name = pwd.getpwuid(os.getuid()).pw_name
    script = f"grep -v '^{name}:' /etc/subuid >/tmp/subuid.$$; mount --bind /tmp/subuid.$$ /etc/subuid"
    assert script
    pytest.skip("a plain user cannot hide /etc/subuid; the unit tests of base/subids do")


def test_output_that_cannot_be_written(cove):
    with open("/dev/full", "wb") as full:
        process = cove.popen("version", stdout=full)
        process.communicate(timeout=60)
    assert process.returncode == 1


def test_instance_whose_files_were_removed(cove):
    cove("create", "--name", "hollow", *SMALL, OS)
    (cove.home / "hollow" / "disk").unlink()
    result = cove("start", "hollow", check=False)
    assert result.status == 1 and "disk" in result.err
    cove("delete", "hollow")
    assert cove.instances() == []


def test_memory_limit_of_the_user(cove):
    """QEMU that cannot have its memory is an error with its words, not a hang."""
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20))

    cove("daemon", "stop")
    result = cove("run", "--memory", "2G", "--cpus", "1", OS, "--", "true", check=False, preexec_fn=limit)
    assert result.status == 125 and result.err
    cove("daemon", "stop")
