"""What the processes of a running machine have given up, what comes out of it, and who else gets in."""

import os
import stat
import subprocess

import pytest

from support import BIN, descendants

pytestmark = pytest.mark.timeout(600)
PROGRAMS = ["cove", "coved", "cove-vm", "cove-network", "cove-image"]


def status(pid: int) -> dict[str, str]:
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip().split(":\t", 1) for line in file if ":\t" in line)


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
        assert (name, writable) in {("disk", True), ("root.img", False)}


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


def test_binaries_are_hardened():
    for program in PROGRAMS:
        headers = subprocess.check_output(["readelf", "-hldW", BIN / program], text=True)
        assert "DYN (" in headers, f"{program} is not position independent"
        assert "GNU_RELRO" in headers, program
        assert "NOW" in headers, f"{program} binds its symbols late"
        assert " RWE " not in headers, f"{program} has memory that is writable and executable"
