"""What the processes of a running machine have given up, what comes out of it, and who else gets in."""

import os
import stat
import subprocess

import pytest

from support import BIN, comm, descendants, pids

pytestmark = pytest.mark.timeout(600)
PROGRAMS = ["cove", "coved", "cove-vm", "cove-network", "cove-image"]


def status(pid: int) -> dict[str, str]:
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


@pytest.mark.smoke
def test_processes_of_a_machine_have_no_privileges(machine):
    supervisor, qemu = machine.supervisor_pid("shared"), machine.qemu_pid("shared")
    for pid in (supervisor, qemu):
        seen = status(pid)
        assert seen["NoNewPrivs"] == "1"
        assert seen["Seccomp"] == "2"
        killer = 1 << 5 if pid == supervisor and os.geteuid() == 0 else 0  # CAP_KILL
        for kind in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(seen[kind], 16) & ~killer == 0, (pid, kind)
    assert set(descendants(supervisor)) >= {qemu}


@pytest.mark.skipif(os.geteuid() != 0, reason="these processes are not dumpable: only root can look into them")
@pytest.mark.smoke
def test_descriptors_and_roots(machine):
    supervisor, qemu = machine.supervisor_pid("shared"), machine.qemu_pid("shared")
    for name in ("user", "mnt", "pid", "net", "ipc", "uts"):
        assert os.readlink(f"/proc/{qemu}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}"), name
    assert os.readlink(f"/proc/{supervisor}/ns/mnt") != os.readlink("/proc/self/ns/mnt")
    mounts = [line.split()[4] for line in open(f"/proc/{supervisor}/mountinfo")]
    assert sorted(mounts) == ["/", "/kept"]

    own = machine.home / "shared"
    for number in os.listdir(f"/proc/{supervisor}/fd"):
        link = f"/proc/{supervisor}/fd/{number}"
        if stat.S_ISDIR(os.stat(link).st_mode):
            assert os.path.samestat(os.stat(link), own.stat())
    for number in os.listdir(f"/proc/{qemu}/fd"):
        link = f"/proc/{qemu}/fd/{number}"
        info = os.stat(link)
        assert not stat.S_ISDIR(info.st_mode)
        if not stat.S_ISREG(info.st_mode):
            continue
        flags = next(line for line in open(f"/proc/{qemu}/fdinfo/{number}") if line.startswith("flags:"))
        writable = int(flags.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
        name = os.path.basename(os.readlink(link))
        assert (name, writable) in {("disk", True), ("root.img", False), ("memfd:memory (deleted)", True),
                                    ("memfd:kernel (deleted)", False), ("memfd:initrd (deleted)", False)}


def test_what_comes_out_has_no_special_bits(machine, tmp_path):
    script = "d=$(mktemp -d); cp /bin/true $d/tool; chmod 6777 $d/tool; mkdir -m 7777 $d/sub; mkfifo $d/pipe; " \
             "ln -s /etc/passwd $d/link; chmod 755 $d; echo $d"
    there = machine.sh("shared", script).out
    machine("copy", f"shared:{there}", tmp_path / "out")
    mask = os.umask(0)
    os.umask(mask)
    for name in ("tool", "sub"):
        assert stat.S_IMODE((tmp_path / "out" / name).stat().st_mode) == 0o777 & ~mask
        assert (tmp_path / "out" / name).stat().st_uid == os.getuid()
    assert sorted(os.listdir(tmp_path / "out")) == ["link", "sub", "tool"]
    assert (tmp_path / "out" / "link").is_symlink()


@pytest.mark.smoke
def test_files_are_the_owners_alone(machine):
    for directory in (machine.home, machine.home / "shared", machine.home / "_images"):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        for entry in directory.iterdir():
            assert entry.lstat().st_mode & 0o077 == 0 or entry.is_symlink(), entry


@pytest.mark.smoke
def test_no_core_files(machine):
    """Whatever holds keys, the console or a command's streams leaves no copy of its memory."""
    client = machine.popen("shell", "shared", "--", "sh", "-c", "echo there; sleep 20")
    try:
        assert client.stdout.readline() == b"there\n"
        supervisor = machine.supervisor_pid("shared")
        for pid in [client.pid, machine.daemon_pid(), supervisor, *descendants(supervisor)]:
            with open(f"/proc/{pid}/limits") as file:
                core, = (line for line in file if line.startswith("Max core file size"))
            assert core.split()[4:6] == ["0", "0"], (comm(pid), core)
            # What is not dumpable belongs to root in /proc. QEMU is a program that was executed, which undoes it.
            if os.getuid() != 0 and comm(pid) != "qemu-system-x86":
                assert os.stat(f"/proc/{pid}/environ").st_uid != os.getuid(), comm(pid)
    finally:
        client.kill()
        client.communicate()


def everything_kept(cove):
    """The content of every file of a state directory, but for disks, images and the keys themselves."""
    for top in (cove.home, cove.runtime):
        for path in top.rglob("*"):
            if path.is_file() and "_images" not in path.parts and path.name not in ("disk", "key"):
                yield str(path), path.read_bytes()


def everything_shown():
    """Command line and environment of every process, as far as we may see them."""
    for pid in pids():
        for name in ("cmdline", "environ"):
            try:
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    yield f"/proc/{pid}/{name} ({comm(pid)})", file.read()
            except OSError:
                pass


@pytest.mark.smoke
def test_secrets_are_nowhere_else(machine, tmp_path):
    """The instance's key, and what passed through streams, copies and the console: in no log, database, process."""
    typed = b"typed-" + os.urandom(12).hex().encode()
    assert machine("shell", "shared", "--", "cat", input=typed).stdout == typed
    (tmp_path / "secret").write_bytes(typed)
    machine("copy", tmp_path / "secret", "shared:/dev/shm/secret")
    machine("copy", "shared:/dev/shm/secret", tmp_path / "back")
    client = machine.popen("shell", "shared", "--", "sh", "-c", "cat; sleep 20")
    client.stdin.write(typed)
    client.stdin.close()
    key = (machine.home / "shared" / "key").read_bytes()
    key = key.splitlines()[2]  # of its body; the first lines are the same in all keys
    assert len(key) > 40
    try:
        seen = [*everything_kept(machine), *everything_shown()]
        assert any(name.endswith("coved.log") for name, _ in seen) and any("cmdline" in name for name, _ in seen)
        for name, content in seen:
            for secret in (typed, key):
                assert secret not in content, name
    finally:
        client.kill()
        client.stdout.close()
        client.stderr.close()
        client.wait()
        machine.sh("shared", "rm /dev/shm/secret")


def test_binaries_are_hardened():
    for program in PROGRAMS:
        headers = subprocess.check_output(["readelf", "-hldW", BIN / program], text=True)
        assert "DYN (" in headers, f"{program} is not position independent"
        assert "GNU_RELRO" in headers, program
        assert "NOW" in headers, f"{program} binds its symbols late"
        assert " RWE " not in headers, f"{program} has memory that is writable and executable"
