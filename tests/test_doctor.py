"""`cove doctor`: what is found, what is missing, what mends it."""

import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(600)


@pytest.mark.smoke
def test_healthy(empty):
    result = empty("doctor")
    for word in ("QEMU", "kernel", "namespaces", "disk"):
        assert word.lower() in result.out.lower(), result.out


def test_missing_programs_are_named_with_their_packages(empty, area):
    path = area / "bare-path"
    path.mkdir(exist_ok=True)
    for program in ("sh", "uname"):
        if not (path / program).exists():
            (path / program).symlink_to(f"/bin/{program}")
    result = empty("doctor", check=False, env={"PATH": str(path)})
    assert result.status == 1
    for package in ("qemu-system-x86", "mmdebstrap", "qemu-utils"):
        assert package in result.out + result.err


def test_report_has_no_secrets(empty):
    result = empty("doctor", "--report", check=False, env={"SECRET_TOKEN": "do-not-tell", "LC_ALL": "C"})
    assert "do-not-tell" not in result.out
    assert "version" in result.out.lower()


def test_acceleration_is_probed(empty):
    """Where /dev/kvm opens, the report says whether a guest booted under it, not whether it opens."""
    result = empty("doctor", check=False)
    assert "tcg" in result.out.lower() or "kvm" in result.out.lower()
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        assert "kvm" in result.out.lower()
