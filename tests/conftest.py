"""Fixtures of the system tests. Images are built once a session; what is cheap shares one running instance."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from support import (BIN, OS, SMALL, Cove, archive_is_reachable, await_saved, boot_id, cove_processes, eventually,
                     link_images)


def pytest_configure(config):
    config.addinivalue_line("markers", "smoke: also run as root")
    config.addinivalue_line("markers", "network: needs Debian's archive")
    config.addinivalue_line("markers", "full: takes long; only with --full")


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="whole sizes and counts, where fewer do otherwise")
    parser.addoption("--seed", type=int, default=None, help="of the fault driver")


def pytest_collection_modifyitems(config, items):
    config.online = archive_is_reachable()
    for item in items:
        if "network" in item.keywords and not config.online:
            item.add_marker(pytest.mark.skip(reason="Debian's archive cannot be reached"))
    if config.getoption("--full"):
        return
    for item in items:
        if "full" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="takes long: --full runs it"))


def pytest_sessionstart(session):
    # Who runs this in the background ignores SIGINT, and every program that we start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not (BIN / "cove").exists():
        pytest.exit(f"there is no {BIN}/cove: build first, or name the directory with COVE_BIN", returncode=3)


@pytest.fixture(scope="session")
def area():
    """A directory for all state of the session, on a real file system, removed at its end."""
    path = Path(tempfile.mkdtemp(prefix="cove-test-", dir=os.environ.get("COVE_TEST_AREA")))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def store(area, request):
    """A state directory with the image that all tests share: built now, or without a network that of the last time."""
    cove = Cove(area / "shared")
    last = Path(os.environ["COVE_TEST_LAST"]) if "COVE_TEST_LAST" in os.environ else None
    if kept := os.environ.get("COVE_TEST_IMAGES"):  # a state directory whose images may be used
        link_images(Path(kept), cove.home)
    elif last and not request.config.online and last.exists():
        link_images(last, cove.home)
    cove("create", "--name", "shared", *SMALL, OS, timeout=1200)
    if last and request.config.online and last.parent.exists():
        for old in (last, Path(f"{last}.new")):
            shutil.rmtree(old, ignore_errors=True)
        subprocess.run(["cp", "-a", "--sparse=always", cove.home / "_images", f"{last}.new"], check=True)
        last.mkdir(mode=0o700)
        Path(f"{last}.new").rename(last / "_images")
    yield cove
    cove.clear()


@pytest.fixture(scope="session")
def machine(store):
    """The state directory whose instance `shared` is running: for commands that leave nothing behind."""
    store("start", "shared")
    return store


@pytest.fixture
def nothing_left():
    """Fails a test that leaves a process of cove behind."""
    before = set(cove_processes())
    yield
    gone = lambda: not (set(cove_processes()) - before)
    try:
        eventually(gone, 30, "processes to end")
    except AssertionError:
        left = {p: n for p, n in cove_processes().items() if p not in before}
        pytest.fail(f"processes left behind: {left}")


@pytest.fixture
def empty(area, nothing_left):
    """A state directory that does not exist yet, without any image."""
    root = Path(tempfile.mkdtemp(dir=area))
    cove = Cove(root)
    yield cove
    cove.clear()
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def cove(empty, store):
    """A state directory of the test's own, with the image."""
    link_images(store.home, empty.home)
    return empty


@pytest.fixture
def small_disk(area, nothing_left, store):
    """A state directory on a small tmpfs, without any image."""
    root = Path(tempfile.mkdtemp(prefix="small-", dir=area))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2G,mode=700", "cove-test", root], check=True)
    cove = Cove(root)
    yield cove
    (root / "ballast").unlink(missing_ok=True)
    cove.clear()
    subprocess.run(["umount", root], check=True)


@pytest.fixture
def small_disk_with_image(small_disk, store):
    small_disk.home.mkdir(mode=0o700)
    subprocess.run(["cp", "-a", "--sparse=always", store.home / "_images", small_disk.home / "_images"], check=True)
    return small_disk


@pytest.fixture(scope="module")
def kept(area, store):
    """A state directory with a saved machine, which the tests of a module leave as it is."""
    cove = Cove(area / "saved", COVE_SAVED_LIMIT="8G")
    link_images(store.home, cove.home)
    cove.cold = boot_id(cove)
    [cove.key] = await_saved(cove)
    yield cove
    cove.clear()
    shutil.rmtree(cove.root)


@pytest.fixture
def saved(kept, area, nothing_left):
    """A state directory of the test's own with that saved machine, and no daemon yet."""
    cove = Cove(area / "saved-copy", COVE_SAVED_LIMIT="8G")
    link_images(kept.home, cove.home)
    others = lambda _, names: [n for n in names if len(n) == 64 and n != kept.key or n.startswith(".stage-")]
    shutil.copytree(kept.home / "_saved", cove.home / "_saved", ignore=others)
    shutil.copy(kept.home / "acceleration.json", cove.home)
    yield cove
    cove.clear()
    shutil.rmtree(cove.root)
