"""Images: built once, whole or not at all, in a sandbox; listed and deleted."""

import contextlib
import http.server
import itertools
import os
import shutil
import signal
import subprocess
import threading
import time

import pytest

from support import BOOT, OS, SMALL, await_saved, cove_processes, eventually, kill

pytestmark = [pytest.mark.timeout(3000), pytest.mark.network]
BUILD = 1500


def left(cove):
    """What is in the store besides a recipe's lock and the log of its last build (docs/images.md)."""
    return [p.name for p in (cove.home / "_images").iterdir() if p.suffix not in (".lock", ".log")]


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
    assert left(cove) == []
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
    assert left(empty) == []  # cove has waited for it


def test_killed_build_leaves_nothing(empty):
    """kill -9 of the daemon in the middle: the sandbox dies with it, and the next start clears up."""
    client = empty.popen("image", "pull", OS)
    eventually(lambda: any("mmdebstrap" == n for n in cove_processes().values()), 120, "the build to begin")
    time.sleep(3)
    kill(empty.daemon_pid())
    client.communicate(timeout=BOOT)
    eventually(lambda: not any("mmdebstrap" == n for n in cove_processes().values()), 60, "the build to end")
    assert empty.json("image", "list") == []
    eventually(lambda: not left(empty), 60, "the staging area to be empty")


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
    assert left(empty) == []


class Mirror(http.server.ThreadingHTTPServer):
    """An archive on this host's loopback that serves what a test says: {path below dists/bookworm: content}."""

    def __init__(self, answers: dict):
        self.answers, self.asked = answers, []
        super().__init__(("127.0.0.1", 0), self.Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/debian"

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            content = self.server.answers.get(self.path.rpartition("/")[2])
            if content is None:
                return self.send_error(404)
            self.send_response(200)
            size = getattr(content, "claimed", len(content) if isinstance(content, bytes) else 10**12)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            with contextlib.suppress(OSError):
                for block in [content] if isinstance(content, bytes) else content:
                    self.wfile.write(block)

        def log_message(self, *_):
            pass


class Cut(bytes):
    """The beginning of something that said to be longer."""
    claimed = 1_000_000


RELEASE = b"""Origin: Debian
Label: Debian
Suite: oldstable
Codename: bookworm
Date: Sat, 01 Nov 2025 00:00:00 UTC
Architectures: amd64
Components: main
SHA256:
 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/binary-amd64/Packages
"""


def signed_by_somebody(directory) -> bytes:
    home = directory / "gnupg"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
    try:
        subprocess.run([*gpg, "--quick-generate-key", "Debian <ftpmaster@debian.example>", "ed25519"], check=True,
                       capture_output=True)
        return subprocess.run([*gpg, "--clearsign"], input=RELEASE, stdout=subprocess.PIPE, check=True).stdout
    finally:
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)


NOT_SIGNED, NOT_REACHED = "the archive's signature is not valid", "cannot be reached"
NO_ARCHIVE = "is no archive of this release"


@pytest.mark.parametrize("kind,said", [
    ("unsigned", NOT_SIGNED), ("foreign", NOT_SIGNED), ("page", NO_ARCHIVE), ("cut", NOT_REACHED),
    ("endless", NO_ARCHIVE)])
def test_hostile_mirror(empty, tmp_path, kind, said):
    """Refused with a reason, within seconds, and nothing of it is kept."""
    if kind == "foreign" and not shutil.which("gpg"):
        pytest.skip("there is no gpg to sign with")
    answers = {
        "unsigned": lambda: {"Release": RELEASE},
        "foreign": lambda: {"InRelease": signed_by_somebody(tmp_path)},
        "page": lambda: {"InRelease": b"<html>Please log in \x1b[31m</html>"},
        "cut": lambda: {"InRelease": Cut(RELEASE)},
        "endless": lambda: {"InRelease": itertools.repeat(b"x" * 65536)},
    }[kind]()
    with Mirror(answers) as mirror:
        result = empty("image", "pull", OS, check=False, env={"COVE_MIRROR": mirror.url}, timeout=120)
        mirror.shutdown()
    assert result.status == 1
    assert said in result.err and "\x1b" not in result.err, result.err
    assert any("InRelease" in path for path in mirror.asked) and not any("Packages" in path for path in mirror.asked)
    assert empty.json("image", "list") == []
    assert left(empty) == []


def test_proxy_password_is_not_kept(empty):
    """It is in the environment of the daemon and of the build, as curl has it; in no log, no list, no message."""
    result = empty("image", "pull", OS, check=False, timeout=120,
                   env={"http_proxy": "http://somebody:geheim@127.0.0.1:9/"})
    assert result.status == 1 and NOT_REACHED in result.err
    assert b"geheim" not in result.stderr
    for path in empty.home.rglob("*"):
        assert not path.is_file() or b"geheim" not in path.read_bytes(), path


def test_next_debian(empty):
    """debian:13: compressed modules, virtio_pci built in, a kernel that knows when it goes on as another machine."""
    empty.environment["COVE_SAVED_LIMIT"] = "8G"
    result = empty("run", *SMALL, "debian:13", "--", "sh", "-c", ". /etc/os-release; echo $VERSION_ID; uname -r",
                   timeout=BUILD)
    version, kernel = result.out.split()
    assert version == "13" and int(kernel.split(".")[0]) >= 6
    await_saved(empty)
    empty("run", *SMALL, "debian:13", "--", "sh", "-c",
          "until dmesg | grep 'crng reseeded due to virtual machine fork'; do sleep 0.2; done")


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
