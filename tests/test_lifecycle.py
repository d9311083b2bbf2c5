"""create, start, stop, restart, delete; states; what they cost and leave."""

import os
import re
import signal
import subprocess
import threading

import pytest

from support import BOOT, OS, SMALL, eventually

pytestmark = pytest.mark.timeout(1200)

BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
# A service that holds up the guest's shutdown for so many seconds.
LONG_STOP = "systemd-run -q -p ExecStop='/bin/sleep %d' -p TimeoutStopSec=infinity sleep 1000"


@pytest.mark.smoke
def test_life(cove):
    cove("create", "--name", "life", *SMALL, OS)
    assert cove.state("life") == "created"
    assert (cove.home / "life" / "cove.yaml").exists()
    cove("start", "life")
    assert cove.state("life") == "ready"
    boot = cove.sh("life", "touch /root/kept; sync; hostname; cat /proc/sys/kernel/random/boot_id").out.split()
    assert boot[0] == "life"
    cove("start", "life")  # running already: no error
    cove("restart", "life")
    again = cove.sh("life", "ls /root; cat /proc/sys/kernel/random/boot_id").out.split()
    assert again[0] == "kept" and again[1] != boot[1]
    cove("stop", "life")
    assert cove.state("life") == "stopped"
    cove("stop", "life")  # stopped already: no error
    cove("start", "life")
    assert cove.sh("life", "ls /root").out == "kept"
    refused = cove("delete", "life", check=False)
    assert refused.status == 1 and "--force" in refused.err
    cove("delete", "--force", "life")
    assert cove.instances() == []
    assert not (cove.home / "life").exists()


def test_system_is_complete(machine):
    """A Debian as one expects it: running, root writable and grown, a clock, a user, no failed unit."""
    assert machine.sh("shared", "systemctl is-system-running --wait", check=False).out in ("running", "degraded")
    assert machine.sh("shared", "systemctl --failed --plain --no-legend").out == ""
    size = int(machine.sh("shared", "df -B1 --output=size / | tail -1").out)
    assert size > 90 * 1024**3
    assert machine.sh("shared", "nproc").out == "2"
    assert abs(int(machine.sh("shared", "date +%s").out) - int(subprocess.check_output(["date", "+%s"]))) < 60
    assert re.fullmatch(r"[0-9a-f]{32}", machine.sh("shared", "cat /etc/machine-id").out)
    machine.sh("shared", "test $(stat -c %a /tmp) = 1777 && touch /var/tmp/x /etc/x && rm /var/tmp/x /etc/x")


def test_start_of_an_os_makes_an_instance(cove):
    started = cove("start", "--name", "fresh", *SMALL, OS)
    assert started.out == "fresh"
    assert [line for line in started.err.splitlines() if "daemon" not in line] == ["cove: starting fresh"]
    assert cove.state("fresh") == "ready"
    cove("delete", "--force", "fresh")


def test_forced_stop(cove):
    cove("start", "--name", "hard", *SMALL, OS)
    cove("stop", "--force", "hard")
    assert cove.state("hard") == "stopped"


def test_power_off_from_inside(cove):
    """It is seen to stop as soon as it begins to, and `start` in that moment starts it again."""
    cove("start", "--name", "inside", *SMALL, OS)
    boot = cove.sh("inside", BOOT_ID).out
    cove.sh("inside", LONG_STOP % 10)
    cove.sh("inside", "systemctl poweroff", check=False)
    cove.wait_state("inside", "stopping")
    cove("start", "inside")
    cove.wait_state("inside", "ready")  # which the daemon hears of a moment after cove does
    assert cove.sh("inside", BOOT_ID).out != boot
    cove.sh("inside", "systemctl poweroff", check=False)
    cove.wait_state("inside", "stopped")


def test_reboot_from_inside(cove):
    cove("start", "--name", "again", *SMALL, OS)
    first = cove.sh("again", BOOT_ID).out
    supervisor = cove.supervisor_pid("again")
    cove.sh("again", "systemctl reboot", check=False)
    cove.wait_state("again", "stopping")
    cove("start", "again")  # waits for what comes of it
    assert cove.sh("again", BOOT_ID).out != first
    assert cove.supervisor_pid("again") == supervisor


def test_less_patience(cove):
    """What another stops or deletes can be stopped at once, and deleted: they end together."""
    for command in (("stop", "--force"), ("delete", "--force")):
        cove("start", "--name", "slow", *SMALL, OS)
        cove.sh("slow", LONG_STOP % 100_000)
        patient = cove.popen("stop", "--timeout", "1h", "slow")
        cove.wait_state("slow", "stopping")
        cove(*command, "slow")
        assert patient.wait(BOOT) == 0
        if command[0] == "stop":
            assert cove.state("slow") == "stopped"
            cove("delete", "slow")


def test_deleted_twice_at_once(cove):
    cove("start", "--name", "twice", "--early", *SMALL, OS)
    clients = [cove.popen("delete", "--force", "twice") for _ in range(3)]
    for client in clients:
        stderr = client.communicate(timeout=BOOT)[1]
        assert client.returncode == 0 or b"there is no instance" in stderr, stderr
    assert cove.instances() == []


def test_second_instance_costs_little(cove):
    before = used(cove)
    cove("create", "--name", "second", *SMALL, OS)
    assert used(cove) - before < 4 * 1024 * 1024


def used(cove) -> int:
    return int(subprocess.check_output(["du", "-sB1", cove.home]).split()[0])


def test_instances_differ(cove, machine):
    cove("start", "--name", "other", *SMALL, OS)
    script = "cat /etc/machine-id; cat /proc/sys/kernel/random/boot_id; cat /etc/ssh/ssh_host_*_key.pub"
    ours, theirs = (c.sh(n, script).out.splitlines() for c, n in ((cove, "other"), (machine, "shared")))
    assert not set(ours) & set(theirs)


def test_disk_size(cove):
    cove("start", "--name", "little", "--disk", "3G", *SMALL, OS)
    size = int(cove.sh("little", "df -B1 --output=size / | tail -1").out)
    assert 2 * 1024**3 < size < 3 * 1024**3


def test_output_formats(machine):
    row, = machine.json("list")
    assert row["name"] == "shared" and row["state"] == "ready"
    table = machine("list").out.splitlines()
    assert len(table) == 2 and table[1].split()[0] == "shared"
    assert 'name: "shared"' in machine("list", "--output", "yaml").out
    info = machine.json("info", "shared")
    assert info["name"] == "shared" and info["state"] == "ready"


def test_logs_that_are_followed(cove):
    """Until the instance is deleted."""
    cove("start", "--name", "told", *SMALL, OS)
    with cove.popen("logs", "--follow", "--serial", "told") as follower:
        cove.sh("told", "echo one-more-line >/dev/ttyS0")
        assert any(b"one-more-line" in line for line in iter(follower.stdout.readline, b""))
        cove("delete", "--force", "told")
        assert follower.wait(60) == 0


def test_logs_and_console(machine):
    assert "starting" in machine("logs", "shared").out or machine("logs", "shared").out
    from support import Terminal

    with Terminal(machine, "console", "shared") as terminal:
        machine.sh("shared", "echo through-the-console >/dev/ttyS0")
        terminal.expect("through-the-console")
        terminal.process.send_signal(signal.SIGTERM)
        terminal.wait()
        assert terminal.is_restored()


@pytest.mark.parametrize("when", [0.05, 0.3, 1, 3, 6])
def test_interrupted_run_leaves_nothing(cove, when):
    """Ctrl-C at any time: during the create, the start, the boot."""
    client = cove.popen("run", *SMALL, OS, "--", "sleep", "1000", start_new_session=True)
    threading.Event().wait(when)
    os.killpg(client.pid, signal.SIGINT)
    client.communicate(timeout=BOOT)
    assert client.returncode != 0
    assert cove.instances() == []  # cove has waited for it


@pytest.mark.parametrize("when", [0.02, 0.1, 0.5])
def test_interrupted_create_is_undone_or_done(cove, when):
    client = cove.popen("create", "--name", "half", *SMALL, OS, start_new_session=True)
    threading.Event().wait(when)
    os.killpg(client.pid, signal.SIGINT)
    client.communicate(timeout=BOOT)
    eventually(lambda: (cove.instances() == ["half"]) == (client.returncode == 0), 60, "create to be done or undone")
    assert (cove.home / "half").exists() == (client.returncode == 0)
    cove("create", "--name", "whole", *SMALL, OS)
