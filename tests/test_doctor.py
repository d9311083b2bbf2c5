"""`cove doctor`: what is found, what is missing, what mends it."""

import json
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
    for package in ("qemu-system-x86", "openssh-client", "qemu-utils"):
        assert package in result.out + result.err


def test_report_has_no_secrets(empty):
    result = empty("doctor", "--report", check=False, env={"SECRET_TOKEN": "do-not-tell", "LC_ALL": "C"})
    assert "do-not-tell" not in result.out
    assert "version" in result.out.lower()


def acceleration(cove):
    return next(row for row in cove.json("doctor") if row["item"] == "acceleration")


def test_acceleration_is_probed(machine):
    """The report says whether a guest ran under KVM, as it was found out when a machine started; or why it cannot."""
    answer = json.loads((machine.home / "acceleration.json").read_text())
    row = acceleration(machine)
    if answer["name"] == "kvm":
        assert row["status"] == "ok" and "ran" in row["found"]
    else:
        assert row["status"] == "warning" and row["fix"]
        assert answer["reason"] in row["found"] and "tcg" in row["found"]


def test_acceleration_before_any_machine(empty):
    row = acceleration(empty)
    if os.access("/dev/kvm", os.R_OK | os.W_OK):
        assert row["status"] == "ok" and "first machine" in row["found"]
    else:
        assert row["status"] == "warning" and "/dev/kvm" in row["found"]
