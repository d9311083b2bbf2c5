"""`cove run`, and commands in a running instance: bytes, statuses, signals, users, limits."""

import hashlib
import os
import random
import signal
import subprocess
import threading
import time

import pytest

from support import BOOT, OS, SMALL, eventually, is_alive

pytestmark = pytest.mark.timeout(1200)
MIB = 1024 * 1024


def shell(cove, *command, options=(), **keywords):
    return cove("shell", "--user", "root", *options, "shared", "--", *command, **keywords)


@pytest.mark.smoke
def test_run_is_a_machine_of_its_own(cove):
    result = cove("run", *SMALL, OS, "--", "sh", "-c", "id -un; pwd; cat; cat /etc/os-release; exit 7",
                  input=b"from outside\n", check=False)
    assert result.status == 7, result.err
    lines = result.out.splitlines()
    assert lines[:3] == ["root", "/root", "from outside"]
    assert f'VERSION_ID="{OS.split(":")[1]}"' in lines
    assert cove.instances() == []


def test_early_run_does_not_wait_for_the_services(cove):
    result = cove("run", "--early", *SMALL, OS, "--", "sh", "-c", "touch /root/x && mount | grep -c ' / '")
    assert result.out == "1"


def test_kept_machine_stays(cove):
    cove("run", "--keep", "--name", "kept", *SMALL, OS, "--", "touch", "/root/was-here")
    assert cove.instances() == ["kept"]
    cove("start", "kept")
    assert cove.sh("kept", "ls /root").out == "was-here"


def test_detached_machine_outlives_the_client(cove):
    cove("run", "--detach", "--name", "away", *SMALL, OS, "--", "sh", "-c", "echo begun; sleep 1000")
    row, = [p for p in cove.json("ps", "away") if "sleep 1000" in " ".join(p["command"])]
    with cove.popen("attach", "away", row["id"]) as client:
        assert client.stdout.readline() == b"begun\n"
        client.kill()
    assert cove.state("away") == "ready"


def test_killed_run_ends_its_machine(cove):
    client = cove.popen("run", "--name", "brief", *SMALL, OS, "--", "sh", "-c", "echo up; sleep 1000")
    assert client.stdout.readline() == b"up\n"
    client.kill()
    client.communicate()
    eventually(lambda: cove.instances() == [], 60, "the machine to be deleted")


def test_run_survives_the_daemon(cove):
    client = cove.popen("run", "--name", "lasting", *SMALL, OS, "--", "sh", "-c", "echo up; read x; echo $x")
    assert client.stdout.readline() == b"up\n"
    os.kill(cove.daemon_pid(), signal.SIGKILL)
    stdout, stderr = client.communicate(b"heard\n", timeout=BOOT)
    assert (client.returncode, stdout) == (0, b"heard\n"), stderr
    eventually(lambda: cove.instances() == [], 60, "the machine to be deleted")


@pytest.mark.parametrize("size", [256 * MIB, pytest.param(1024 * MIB, marks=pytest.mark.full)])
def test_streams_are_byte_exact(machine, size):
    """Random bytes through `cat`, both directions at once."""
    process = machine.popen("shell", "--user", "root", "shared", "--", "cat")
    sent, received = hashlib.sha256(), hashlib.sha256()

    def feed():
        block = random.Random(size).randbytes(4 * MIB)
        for number in range(size // len(block)):
            part = number.to_bytes(8, "big") + block[8:]
            sent.update(part)
            process.stdin.write(part)
        process.stdin.close()

    feeder = threading.Thread(target=feed)
    feeder.start()
    count = 0
    while part := process.stdout.read1(MIB):
        received.update(part)
        count += len(part)
    feeder.join()
    assert process.wait() == 0, process.stderr.read()
    assert count == size
    assert received.digest() == sent.digest()


def test_output_streams_stay_apart(machine):
    result = shell(machine, "sh", "-c", "i=0; while [ $i -lt 2000 ]; do echo out$i; echo err$i >&2; i=$((i+1)); done")
    assert result.stdout == b"".join(b"out%d\n" % i for i in range(2000))
    assert result.stderr == b"".join(b"err%d\n" % i for i in range(2000))


def test_stdin_ends(machine):
    assert shell(machine, "wc", "-c", input=b"x" * 1000).out == "1000"
    assert shell(machine, "wc", "-c", stdin=subprocess.DEVNULL, input=None).out == "0"


def test_command_that_does_not_read_its_input(machine):
    process = machine.popen("shell", "--user", "root", "shared", "--", "true", stdin=subprocess.PIPE)
    with pytest.raises(BrokenPipeError):
        for _ in range(64):
            process.stdin.write(b"x" * MIB)
            process.stdin.flush()
    process.stdin = None
    assert process.communicate(timeout=BOOT)[0] == b"" and process.returncode == 0


def test_closed_output_ends_the_command(machine):
    """`cove shell … -- yes | head -1` ends."""
    process = machine.popen("shell", "--user", "root", "shared", "--", "yes")
    assert process.stdout.readline() == b"y\n"
    process.stdout.close()
    assert process.wait(BOOT) in (128 + signal.SIGPIPE, -signal.SIGPIPE)


def test_output_that_cannot_be_written_is_a_failure(machine):
    with open("/dev/full", "w") as full:
        result = shell(machine, "echo", "lost", stdout=full, check=False)
    assert result.status == 125 and "No space left on device" in result.err
    with open("/dev/full", "w") as full:
        assert shell(machine, "true", stdout=full, check=False).status == 0


def test_nothing_is_said_where_nothing_is_waited_for(machine):
    assert shell(machine, "true").err == ""
    assert machine("ps", "shared").stderr in (b"", b"cove: no commands\n")


def test_input_is_left_to_others_when_it_is_dev_null(machine):
    """A loop over lines sees all of them when its commands have no input; else the first takes the rest, as with ssh."""
    script = "while read line; do echo $line; cove shell --user root shared -- %s; done"
    for command, lines in (("true </dev/null", "a b c"), ("sh -c 'cat >/dev/null'", "a")):
        result = subprocess.run(["sh", "-c", script % command], input=b"a\nb\nc\n", capture_output=True,
                                env=machine.environment, timeout=BOOT)
        assert result.stdout.decode().split() == lines.split(), result.stderr


def test_stalled_reader_stops_nobody_else(machine):
    with machine.popen("shell", "--user", "root", "shared", "--", "cat", "/dev/zero") as stalled:
        time.sleep(2)
        assert shell(machine, "echo", "through").out == "through"
        stalled.kill()


@pytest.mark.parametrize("status", [0, 1, 2, 100, 124, 125, 126, 127, 128, 255])
def test_exit_status_passes(machine, status):
    assert shell(machine, "sh", "-c", f"exit {status}", check=False).status == status


@pytest.mark.full
def test_every_exit_status_passes(machine):
    for status in range(256):
        assert shell(machine, "sh", "-c", f"exit {status}", check=False).status == status


@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV", "USR1"])
def test_command_ended_by_a_signal(machine, name):
    result = shell(machine, "sh", "-c", f"kill -{name} $$", check=False)
    assert result.status == 128 + getattr(signal, f"SIG{name}")


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "USR1", "QUIT"])
def test_signals_reach_the_command(machine, name):
    process = machine.popen("shell", "--user", "root", "shared", "--", "sh", "-c",
                            f"trap 'echo got; exit 3' {name}; echo set; while :; do sleep 0.1; done")
    assert process.stdout.readline() == b"set\n"
    process.send_signal(getattr(signal, f"SIG{name}"))
    stdout, stderr = process.communicate(timeout=BOOT)
    assert (stdout, process.returncode) == (b"got\n", 3), stderr


def test_command_not_found_and_not_executable(machine):
    missing = shell(machine, "no-such-command", check=False)
    assert missing.status == 127 and "no-such-command" in missing.err
    barred = shell(machine, "/etc/passwd", check=False)
    assert barred.status == 126 and "/etc/passwd" in barred.err


def test_own_failure_is_125(machine):
    assert machine("shell", "nobody-has-this", "--", "true", check=False).status == 125
    assert machine("run", "--name", "Not_A_Name", OS, "--", "true", check=False).status == 125


def test_time_limit(machine):
    before = time.monotonic()
    result = shell(machine, "sh", "-c", "sleep 1000 & sleep 1000", options=("--timeout", "2"), check=False)
    assert result.status == 124 and "2" in result.err
    assert time.monotonic() - before < BOOT
    assert shell(machine, "pgrep", "-fx", "sleep 1000", check=False).status == 1  # its children ended too


def test_environment_and_directory(machine):
    result = shell(machine, "sh", "-c", 'printf "%s|%s|%s" "$A" "$B" "$PWD"',
                   options=("--env", "A=1 2", "--env", "B=ä=\n", "--workdir", "/var/log"))
    assert result.stdout.decode() == "1 2|ä=\n|/var/log"
    assert shell(machine, "true", options=("--workdir", "/no/such"), check=False).status == 125
    assert shell(machine, "env").out.count("COVE_HOME") == 0  # the host's environment stays outside


def test_users(machine):
    assert shell(machine, "sh", "-c", "id -u; id -g; pwd; echo $HOME $USER").out.split() == \
        ["0", "0", "/root", "/root", "root"]
    nobody = machine("shell", "--user", "nobody", "shared", "--", "id", "-un")
    assert nobody.out == "nobody"
    assert machine("shell", "--user", "no-such-user", "shared", "--", "true", check=False).status == 125


def test_shell_is_the_caller(machine):
    uid = os.getuid()
    result = machine("shell", "shared", "--", "sh", "-c", "id -u; sudo -n id -u")
    assert result.out.split() == [str(uid), "0"]


def test_arguments_pass_as_they_are(machine):
    arguments = ["", " ", "a b", "$HOME", "*", "'", '"', "\\", "-n", "--", "ä", "\n", "x" * 100_000]
    result = shell(machine, "sh", "-c", r'for a; do printf "%s\0" "$a"; done', "sh", *arguments)
    assert result.stdout.decode().split("\0")[:-1] == arguments


def test_many_at_once(machine):
    clients = [machine.popen("shell", "--user", "root", "shared", "--", "sh", "-c", f"cat; exit {n}")
               for n in range(24)]
    for number, client in enumerate(clients):
        stdout, _ = client.communicate(b"%d" % number, timeout=BOOT)
        assert (stdout, client.returncode) == (b"%d" % number, number)


def test_commands_are_listed_and_attached_again(machine):
    script = "echo begin; read x; i=0; while [ $i -lt 5000 ]; do echo line$i; i=$((i+1)); done; exit 9"
    client = machine.popen("shell", "--user", "root", "shared", "--", "sh", "-c", script)
    assert client.stdout.readline() == b"begin\n"
    client.kill()
    client.wait()
    row, = [p for p in machine.json("ps", "shared") if script in p["command"]]
    again = machine("attach", "shared", row["id"], input=b"go\n", check=False)
    assert again.status == 9, again.err
    # What a client had no time to acknowledge is sent again.
    assert again.stdout.removeprefix(b"begin\n") == b"".join(b"line%d\n" % i for i in range(5000))
    assert script not in [a for p in machine.json("ps", "shared") for a in p["command"]]


def test_a_command_ends_its_like_and_no_other(machine):
    """What holds the commands together in the guest has a name of its own."""
    assert machine.sh("shared", "sleep 1000 & pkill sleep; wait; echo still there").out == "still there"


def test_background_children_do_not_hold_the_client(machine):
    """As with ssh: the command's end counts, and what still writes loses its reader."""
    process = machine.popen("shell", "--user", "root", "shared", "--", "sh", "-c", "sleep 30 >/dev/null 2>&1 & echo on")
    assert process.communicate(timeout=BOOT)[0] == b"on\n"
    assert process.returncode == 0 and not is_alive(process.pid)
