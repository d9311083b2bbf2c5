"""`cove copy`: files and trees, both ways, names as hostile as a file system allows."""

import hashlib
import os
import subprocess

import pytest

from support import OS, SMALL

pytestmark = pytest.mark.timeout(600)

NAMES = ["plain", " ", "a b", "-rf", "--help", "$(id)", "`id`", "'", '"', "\\", "*", "new\nline", "\x1b[31m", "ä",
         b"\xff\xfe", "x" * 255, ".hidden", "...", "~", "NAME:path"]


@pytest.fixture
def there(machine):
    """A directory in the guest."""
    path = machine.sh("shared", "mktemp -d").out
    machine.sh("shared", f"chmod 755 {path}; chown {os.getuid()} {path}")
    yield path
    machine.sh("shared", f"rm -rf {path}")


@pytest.mark.smoke
def test_file_there_and_back(machine, there, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(os.urandom(5_000_001))
    source.chmod(0o640)
    os.utime(source, ns=(10**18 + 7, 10**18 + 7))
    machine("copy", source, f"shared:{there}/copied")
    assert machine.sh("shared", f"sha256sum {there}/copied").out.split()[0] == \
        hashlib.sha256(source.read_bytes()).hexdigest()
    assert machine.sh("shared", f"stat -c '%a %Y' {there}/copied").out == "640 1000000000"
    machine("copy", f"shared:{there}/copied", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    assert os.stat(tmp_path / "back").st_mode & 0o777 == 0o640
    assert os.stat(tmp_path / "back").st_mtime_ns == 10**18 + 7


def test_tree_with_hostile_names(machine, there, tmp_path):
    tree = tmp_path / "tree"
    for directory in (b"", b"sub", b"sub/deeper"):
        here = os.fsencode(tree) + b"/" + directory
        os.makedirs(here, exist_ok=True)
        for name in map(os.fsencode, NAMES):
            with open(here + b"/" + name, "wb") as file:
                file.write(name)
    (tree / "empty").mkdir()
    (tree / "link").symlink_to("/etc/passwd")
    (tree / "dangling").symlink_to("nowhere/at all")
    (tree / "loop").symlink_to("loop")
    machine("copy", tree, f"shared:{there}")
    machine("copy", f"shared:{there}/tree", tmp_path / "back")
    subprocess.run(["diff", "-r", "--no-dereference", tree, tmp_path / "back"], check=True)
    for link in ("link", "dangling", "loop"):
        assert os.readlink(tmp_path / "back" / link) == os.readlink(tree / link)


def test_into_a_directory_or_as_a_name(machine, there, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("x")
    machine("copy", tmp_path / "d", f"shared:{there}/named")  # becomes `named`
    machine("copy", tmp_path / "d", f"shared:{there}/named")  # goes into it
    assert machine.sh("shared", f"cd {there}; find named -type f | sort").out.split() == ["named/d/f", "named/f"]
    machine("copy", tmp_path / "d" / "f", f"shared:{there}")
    assert machine.sh("shared", f"cat {there}/f").out == "x"


def test_relative_path_is_the_home(machine, tmp_path):
    (tmp_path / "f").write_text("at home")
    machine("copy", tmp_path / "f", "shared:in-my-home")
    assert machine("shell", "shared", "--", "cat", "in-my-home").out == "at home"
    machine("shell", "shared", "--", "rm", "in-my-home")


def test_symlinks_in_the_way_are_not_followed(machine, there, tmp_path):
    """A tree with a link and a file of one name below it never writes through the link."""
    outside = tmp_path / "outside"
    outside.mkdir()
    target = tmp_path / "into"
    (target / "tree").mkdir(parents=True)
    (target / "tree" / "sub").symlink_to(outside)
    machine.sh("shared", f"mkdir -p {there}/tree/sub && echo evil >{there}/tree/sub/file")
    machine("copy", f"shared:{there}/tree", target, check=False)
    assert not any(outside.iterdir())


def test_special_files_are_not_made(machine, there, tmp_path):
    """They are left out in both directions, and cove says so; the status stays 0, as rsync's and tar's."""
    machine.sh("shared", f"""mkdir {there}/s && cd {there}/s && mkfifo "$(printf 'a\\033[31m')" && mknod null c 1 3 &&
        for i in 1 2 3 4 5; do mkfifo fifo$i; done; echo x >file""")
    result = machine("copy", f"shared:{there}/s", tmp_path / "s")
    assert result.status == 0 and "FIFOs, sockets or devices: 7 ('a\\x1b[31m', 'fifo1'" in result.err, result.err
    assert "\x1b" not in result.err and "null" not in result.err
    assert [p.name for p in (tmp_path / "s").iterdir()] == ["file"]
    os.mkfifo(tmp_path / "s" / "here")
    result = machine("copy", tmp_path / "s", f"shared:{there}/back")
    assert "1 ('here')" in result.err
    assert machine.sh("shared", f"ls {there}/back").out == "file"
    assert machine("copy", "--quiet", tmp_path / "s", f"shared:{there}/quiet").err == ""


def test_setuid_from_a_guest(machine, there, tmp_path):
    """Files are the caller's own, so setuid bits of another user's file never arrive as that user's."""
    machine.sh("shared", f"cp /bin/true {there}/s && chown root {there}/s && chmod 4755 {there}/s")
    machine("copy", f"shared:{there}/s", tmp_path / "s")
    assert os.stat(tmp_path / "s").st_uid == os.getuid()


def test_special_sources_here(machine, there, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    result = machine("copy", tmp_path / "fifo", f"shared:{there}/x", check=False)
    assert result.status == 1 and "fifo" in result.err


def test_failures(machine, there, tmp_path):
    for source, target, said in [
        (tmp_path / "missing", f"shared:{there}/x", "missing"),
        (f"shared:{there}/missing", tmp_path / "x", "missing"),
        (f"nobody-here:{there}/x", tmp_path / "x", "nobody-here"),
        (f"shared:{there}", "/proc/no/such/place", "/proc/no"),
        ("/etc/hostname", "shared:/proc/version", "/proc/version"),
    ]:
        result = machine("copy", source, target, check=False)
        assert result.status == 1 and said in result.err, result.err
    assert list(tmp_path.iterdir()) == []


def test_interrupted_copy_leaves_no_half_file(machine, there, tmp_path):
    machine.sh("shared", f"head -c 300M /dev/zero >{there}/big; echo old >{there}/old")
    client = machine.popen("copy", f"shared:{there}/big", tmp_path / "big")
    client.terminate()
    client.communicate(timeout=60)
    assert not (tmp_path / "big").exists() or (tmp_path / "big").stat().st_size == 300 * 1024**2


def test_instance_to_instance_and_no_instance(machine, there, tmp_path):
    (tmp_path / "f").write_text("1")
    machine("copy", tmp_path / "f", f"shared:{there}/a")
    machine("copy", f"shared:{there}/a", f"shared:{there}/b")
    assert machine.sh("shared", f"cat {there}/b").out == "1"


def test_between_two_instances(machine, there):
    """Through the host, a tree with its modes."""
    machine("start", "--name", "second", *SMALL, OS)
    try:
        machine.sh("shared", f"mkdir -p {there}/tree/sub; head -c 3M /dev/urandom >{there}/tree/sub/f; "
                             f"chmod 750 {there}/tree/sub; ln -s sub/f {there}/tree/link")
        machine("copy", f"shared:{there}/tree", "second:/root/tree")
        look = "cd %s/tree && sha256sum <link && stat -c '%%a %%n' sub && readlink link"
        assert machine.sh("second", look % "/root").out == machine.sh("shared", look % there).out
        assert machine("copy", f"shared:{there}/none", "second:/root/x", check=False).status == 1
    finally:
        machine("delete", "--force", "second")


def test_sparse_and_empty(machine, there, tmp_path):
    (tmp_path / "empty").touch()
    machine("copy", tmp_path / "empty", f"shared:{there}/empty")
    assert machine.sh("shared", f"stat -c %s {there}/empty").out == "0"
    machine("copy", f"shared:{there}/empty", tmp_path / "back")
    assert (tmp_path / "back").stat().st_size == 0
