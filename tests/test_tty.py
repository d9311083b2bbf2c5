"""With a terminal: size, keys, job control, full-screen programs, and the terminal given back."""

import os
import signal

import pytest

from support import BOOT, Terminal

pytestmark = pytest.mark.timeout(900)
ROOT_SHELL = ("shell", "--user", "root", "shared")


@pytest.fixture
def terminal(machine):
    with Terminal(machine, *ROOT_SHELL, "--", "sh", "-c", "PS1='ready> ' exec bash --norc -i") as t:
        t.expect("ready> ")
        yield t


def test_size_and_type(terminal):
    terminal.send("stty size; echo $TERM; tty\n")
    terminal.expect(r"24 80\r\nxterm\r\n/dev/pts/\d+\r\n")
    terminal.resize(40, 132)
    terminal.process.send_signal(signal.SIGWINCH)
    terminal.send("stty size\n")
    terminal.expect(r"40 132\r\n")


# It is in the foreground when it prints; a key that comes before is the shell's.
SLEEP = "sh -c 'echo begun; exec sleep 1000'\n"


def test_keys(terminal):
    terminal.send(SLEEP)
    terminal.expect(r"[\r\n]begun\r\n")
    terminal.send("\x03")  # Ctrl-C ends the command, not the shell
    terminal.expect("ready> ")
    terminal.send("echo $?\n")
    terminal.expect(r"130\r\n")
    terminal.send("cat\n")
    terminal.expect("cat\r\n")
    terminal.send("through\n")
    terminal.expect("through\r\n.*through\r\n")
    terminal.send("\x04")  # Ctrl-D ends cat
    terminal.expect("ready> ")
    terminal.send("exit 5\n")
    assert terminal.wait() == 5
    assert terminal.is_restored()


def test_job_control(terminal):
    terminal.send(SLEEP)
    terminal.expect(r"[\r\n]begun\r\n")
    terminal.send("\x1a")  # Ctrl-Z
    terminal.expect("Stopped")
    terminal.expect("ready> ")
    terminal.send("bg; jobs\n")
    terminal.expect("Running")
    # Whether bash still says "Terminated" depends on when the job ends; what `wait` returns does not.
    terminal.send("kill %1; wait %1; echo status $?\n")
    terminal.expect("status 143")


def test_login_shell_ends_with_ctrl_d(machine):
    with Terminal(machine, *ROOT_SHELL) as terminal:
        terminal.expect(r"# $")
        terminal.send("\x04")
        assert terminal.wait() == 0
        assert terminal.is_restored()


def test_vim(terminal):
    terminal.send("vi -u NONE /tmp/written\n")
    terminal.until(lambda screen: screen.count("\n~") > 15)
    terminal.send("ihello, screen\x1b")
    terminal.until(lambda screen: screen.startswith("hello, screen"))
    terminal.resize(30, 100)
    terminal.process.send_signal(signal.SIGWINCH)
    terminal.until(lambda screen: screen.count("\n~") > 24)
    terminal.send(":wq\n")
    terminal.expect("ready> ")
    terminal.send("cat /tmp/written; rm /tmp/written\n")
    terminal.expect("hello, screen\r\n")


def test_top(terminal):
    terminal.send("top\n")
    terminal.until(lambda screen: "load average" in screen and "PID USER" in screen)
    terminal.send("q")
    terminal.expect("ready> ")


def test_output_is_raw(terminal):
    terminal.send(r"printf '\033[31mred\033[0m\n'" "\n")
    terminal.expect("\x1b\\[31mred\x1b\\[0m")


@pytest.mark.parametrize("name", ["TERM", "HUP", "INT", "QUIT"])
def test_terminal_is_restored_after_a_signal(machine, name):
    with Terminal(machine, *ROOT_SHELL, "--", "sleep", "1000") as terminal:
        import time
        end = time.monotonic() + BOOT
        while terminal.is_restored() and time.monotonic() < end:
            terminal.pump(0.1)  # until it is raw
        assert not terminal.is_restored()
        terminal.process.send_signal(getattr(signal, f"SIG{name}"))
        assert terminal.wait() != 0
        assert terminal.is_restored()


def test_terminal_is_restored_when_the_machine_ends(cove):
    from support import OS, SMALL

    cove("create", "--name", "ending", *SMALL, OS)
    cove("start", "ending")
    with Terminal(cove, "shell", "--user", "root", "ending") as terminal:
        terminal.expect("# $")
        cove("stop", "--force", "ending")
        assert terminal.wait() == 125
        assert terminal.is_restored()


def test_stdin_alone_is_no_terminal(machine):
    """A pipe on stdout means no terminal in the guest, so that output stays byte-exact."""
    master, slave = os.openpty()
    result = machine(*ROOT_SHELL, "--", "sh", "-c", "test -t 1 || printf 'a\\nb\\n'", stdin=slave, input=None)
    assert result.stdout == b"a\nb\n"
    os.close(master)
    os.close(slave)


def test_terminal_can_be_refused(machine):
    with Terminal(machine, "shell", "--tty=false", "--user", "root", "shared", "--", "sh", "-c",
                  "tty; echo done") as terminal:
        terminal.expect("not a tty.*done")
        assert terminal.wait() == 0


def test_escape_sequences_of_a_guest_stay_in_lists(cove):
    """What a guest can set reaches a terminal escaped, except in run and shell."""
    from support import OS, SMALL

    cove("create", "--name", "rude", *SMALL, OS)
    cove("start", "rude")
    cove.sh("rude", r"printf '\033]0;owned\007\033[2J' >/dev/ttyS0; exec -a \"$(printf 'x\033[31m')\" true || true",
            check=False)
    client = cove.popen("shell", "--user", "root", "rude", "--", "sleep", "1000\x1b[31m", )
    for command in (("ps", "rude"), ("info", "rude"), ("list",), ("logs", "rude")):
        assert b"\x1b" not in cove(*command).stdout, command
    client.kill()
    client.communicate()
