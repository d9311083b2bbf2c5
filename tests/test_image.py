"""Images: built once, whole or not at all, in a sandbox; listed and deleted."""

import os
import signal
import subprocess
import threading
import time

import pytest

from support import BOOT, OS, SMALL, cove_processes, eventually, kill

pytestmark = [pytest.mark.timeout(3000), pytest.mark.network]
BUILD = 1500


def test_list(store):
    row, = [i for i in store.json("image", "list") if i["os"] == OS]
    assert row["digest"] and row["usedBy"] == ["shared"]
    directory = store.home / "_images" / row["digest"]
    assert {p.name for p in directory.iterdir()} >= {"root.img", "kernel", "modules.cpio", "image.json"}
    assert directory.stat().st_mode & 0o077 == 0
    assert all(p.stat().st_mode & 0o077 == 0 for p in directory.iterdir())
    assert row["digest"][:12] in store("image", "list").out


def test_used_image_is_not_deleted(store):
    row, = store.json("image", "list")
    result = store("image", "delete", row["digest"], check=False)
    assert result.status == 1 and "shared" in result.err
    assert store.json("image", "list") == [row]


def test_delete(cove):
    row, = cove.json("image", "list")
    cove("image", "delete", row["digest"])
    assert cove.json("image", "list") == []
    assert list((cove.home / "_images").iterdir()) == []
    assert cove("image", "delete", row["digest"], check=False).status == 1


def test_damaged_image_is_not_used(cove):
    """An image whose description is broken counts as none, or is said to be broken; never booted."""
    row, = cove.json("image", "list")
    description = cove.home / "_images" / row["digest"] / "image.json"
    description.unlink()  # a link: the other state directory keeps its own
    description.write_text("{")
    result = cove("image", "list", check=False)
    assert result.status in (0, 1) and "Traceback" not in result.err


def test_interrupted_build_leaves_nothing(empty):
    client = empty.popen("image", "pull", OS, start_new_session=True)
    eventually(lambda: any("mmdebstrap" == n for n in cove_processes().values()), 120, "the build to begin")
    time.sleep(3)
    os.killpg(client.pid, signal.SIGINT)
    client.communicate(timeout=BOOT)
    assert client.returncode != 0
    eventually(lambda: not any("mmdebstrap" == n for n in cove_processes().values()), 60, "the build to end")
    assert empty.json("image", "list") == []
    eventually(lambda: not any((empty.home / "_images").iterdir()), 60, "the staging area to be empty")


def test_killed_build_leaves_nothing(empty):
    """kill -9 of the daemon in the middle: the sandbox dies with it, and the next start clears up."""
    client = empty.popen("image", "pull", OS)
    eventually(lambda: any("mmdebstrap" == n for n in cove_processes().values()), 120, "the build to begin")
    time.sleep(3)
    kill(empty.daemon_pid())
    client.communicate(timeout=BOOT)
    eventually(lambda: not any("mmdebstrap" == n for n in cove_processes().values()), 60, "the build to end")
    assert empty.json("image", "list") == []
    eventually(lambda: not any((empty.home / "_images").iterdir()), 60, "the staging area to be empty")


def test_two_at_once_build_once(empty):
    """Two creates without an image: one build, both succeed. Of the minimal variant's kind: any will do."""
    clients = [empty.popen("create", "--name", name, *SMALL, OS) for name in ("one", "two")]
    for client in clients:
        _, stderr = client.communicate(timeout=BUILD)
        assert client.returncode == 0, stderr
    row, = empty.json("image", "list")
    assert sorted(row["usedBy"]) == ["one", "two"]


def test_unreachable_mirror(empty):
    """A clear error that names the mirror, and nothing left."""
    result = empty("image", "pull", OS, check=False, env={"COVE_MIRROR": "http://127.0.0.1:9/debian"}, timeout=600)
    assert result.status == 1
    assert "127.0.0.1:9" in result.err
    assert empty.json("image", "list") == []
    assert not any((empty.home / "_images").iterdir())


def test_next_debian(empty):
    """debian:13: compressed modules, virtio_pci built in."""
    result = empty("run", *SMALL, "debian:13", "--", "sh", "-c", ". /etc/os-release; echo $VERSION_ID; uname -r",
                   timeout=BUILD)
    version, kernel = result.out.split()
    assert version == "13" and int(kernel.split(".")[0]) >= 6


@pytest.mark.parametrize("os_name", ["debian:12", "debian:13"])
def test_minimal(empty, os_name):
    """Without an ssh server, and 13 with an /etc/ssh all the same: it gets ready, and commands and copies work."""
    empty("create", "--name", "small", "--variant", "minimal", *SMALL, os_name, timeout=BUILD)
    empty("start", "small")
    assert empty.state("small") == "ready"
    assert empty.sh("small", "command -v sshd || echo none").out == "none"
    source = empty.root / "file"
    source.write_bytes(b"content")
    empty("copy", source, "small:/tmp/file")
    assert empty.sh("small", "cat /tmp/file").stdout == b"content"
    assert empty.json("image", "list")[0]["variant"] == "minimal"


def test_build_runs_nothing_as_root_of_the_host(empty):
    """The sandbox has a user namespace of its own, as root too."""
    client = empty.popen("image", "pull", OS)
    pid = eventually(lambda: next((p for p, n in cove_processes().items() if n == "mmdebstrap"), None), 120,
                     "the build to begin")
    assert os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user")
    assert os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt")
    client.send_signal(signal.SIGINT)
    client.communicate(timeout=BOOT)
