"""Machines that begin from a saved one: as good as booted, unlike each other, and never from what cove did not write."""

import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import signal
import time

import pytest

from support import BOOT, OS, SMALL, await_saved, boot_id, eventually, saved_names

# What two machines must not share, a line each; keys are made anew here.
DRAW = r"""
cat /etc/machine-id /proc/sys/kernel/random/uuid
head -c 16 /dev/urandom | od -An -tx1
ssh-keygen -q -t ed25519 -N '' -f /tmp/key && cut -d' ' -f2 /tmp/key.pub
openssl genpkey -algorithm ed25519 | sed -n 2p
openssl rand -hex 16
head -c 16 /var/lib/systemd/random-seed | od -An -tx1
"""
LINES = 7


@pytest.mark.smoke
def test_second_run_begins_from_the_saved_machine(kept):
    first, second = boot_id(kept), boot_id(kept)
    assert first == second != kept.cold
    assert boot_id(kept, "--cold") not in (first, kept.cold)


def test_it_is_as_good_as_booted(kept):
    out = kept("run", *SMALL, OS, "--", "sh", "-c",
               "systemctl is-system-running; hostname; id -un; pwd; df --output=size / | tail -n 1; date +%s;"
               "getent hosts deb.debian.org >/dev/null && echo resolves; cat /sys/fs/cgroup/*/cgroup.freeze").out
    state, host, user, place, size, now, *rest = out.split("\n")
    assert state in ("running", "degraded")
    assert re.fullmatch(r"debian-12-\d+", host)
    assert (user, place) == ("root", "/root")
    assert int(size) > 90 << 20  # the root has the size of its disk
    assert abs(int(now) - time.time()) < 30
    assert set(rest) - {"resolves"} == {"0"}
    assert "Startup finished" in kept("run", *SMALL, OS, "--", "journalctl", "--no-pager", "-u", "init.scope").out


@pytest.mark.smoke
def test_machines_differ(kept):
    """20 machines that begin from one: nothing that must be unique is in two of them, or in the one."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: kept("run", *SMALL, OS, "--", "sh", "-c", DRAW).out, range(20)))
    lines = [[line.strip() for line in run.split("\n")] for run in runs]
    assert all(len(each) == LINES for each in lines), lines[0]
    for of in zip(*lines):
        assert len(set(of)) == len(runs), of


def test_streams_signals_and_status_are_those_of_any_run(kept):
    assert kept("run", *SMALL, OS, "--", "cat", input=b"bytes\0\xff").stdout == b"bytes\0\xff"
    assert kept("run", *SMALL, OS, "--", "sh", "-c", "exit 7", check=False).status == 7
    assert kept("run", *SMALL, OS, "--", "sh", "-c", "kill -9 $$", check=False).status == 137


@pytest.mark.parametrize("key", ["b", "c"])  # restarts at once; panics, which ends in a restart
def test_one_that_restarts_ends(kept, key):
    """It has nothing to boot from."""
    result = kept("run", *SMALL, OS, "--", "sh", "-c", f"echo {key} >/proc/sysrq-trigger; sleep 1000", check=False)
    assert result.status == 125 and "the command was lost" in result.err
    eventually(lambda: kept.instances() == [], BOOT, "the machine to end")


def test_other_sizes_are_other_machines(kept):
    assert kept("run", "--memory", "600M", "--cpus", "1", OS, "--", "sh", "-c", "nproc").out == "1"


def test_keep_boots(kept):
    assert kept("run", "--keep", "--name", "lasting", *SMALL, OS, "--", "true").status == 0
    assert kept.state("lasting") == "stopped"
    kept("delete", "lasting")


@pytest.mark.parametrize("name", ["memory", "devices", "disk", "seal"])  # saved_files_test.cc has them all
def test_what_cove_did_not_write_is_not_used(saved, name):
    [key] = saved_names(saved)
    file = saved.home / "_saved" / key / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.chmod(0o600)
    file.write_bytes(data)
    result = saved("run", *SMALL, OS, "--", "echo", "booted")
    assert result.out == "booted"
    assert result.err.count("the saved machine cannot be used") == 1, result.err
    if name == "seal":  # the others would be made anew in the same way
        await_saved(saved)
        assert boot_id(saved) == boot_id(saved)


def test_truncated_or_missing_files_are_not_used(saved):
    [key] = saved_names(saved)
    file = saved.home / "_saved" / key / "memory"
    file.chmod(0o600)
    os.truncate(file, 5_000_000)
    assert "the saved machine cannot be used" in saved("run", *SMALL, OS, "--", "true").err


def test_one_of_another_state_directory_is_not_used(saved):
    (saved.home / "_saved/seal.key").write_bytes(b"k" * 32)
    assert "does not bear the seal" in saved("run", *SMALL, OS, "--", "true").err


def test_a_machine_that_does_not_begin_from_it_is_booted(saved):
    """Files that are ours, and that QEMU cannot go on from: sealed again by the key, as a bug of ours would."""
    [key] = saved_names(saved)
    place = saved.home / "_saved" / key
    for name in ("devices", "saved.json", "seal"):
        (place / name).chmod(0o600)
    (place / "devices").write_bytes(b"no state of QEMU")
    description = json.loads((place / "saved.json").read_text())
    description["files"]["devices"] = hashlib.blake2b(b"no state of QEMU", digest_size=32).hexdigest()
    text = json.dumps(description).encode()
    (place / "saved.json").write_bytes(text)
    seal = hashlib.blake2b(text, digest_size=32, key=(saved.home / "_saved/seal.key").read_bytes())
    (place / "seal").write_text(seal.hexdigest())
    result = saved("run", *SMALL, OS, "--", "echo", "booted")
    assert result.out == "booted" and "no machine begins from the saved one" in result.err
    assert saved.instances() == []


def test_one_that_vanished_is_booted_and_made_anew(saved):
    boot_id(saved)  # the daemon has it in memory
    shutil.rmtree(saved.home / "_saved" / saved_names(saved)[0])
    assert saved("run", *SMALL, OS, "--", "echo", "booted").out == "booted"
    await_saved(saved)


def test_names_that_come_again(kept):
    """A run ends, and the next takes its name at once: nobody ends another's."""
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(kept, "run", *SMALL, OS, "--", "sh", "-c", "hostname; sleep 0.3; echo end")
                for _ in range(24)]
        assert all(re.fullmatch(r"debian-12-\d\nend", run.result().out) for run in runs)


def test_prune_and_list(saved):
    assert saved("prune").out == "0 B"
    boot_id(saved)
    [image] = saved.json("image", "list")
    assert image["saved"] > 10_000_000 and image["savedMemory"] > 10_000_000
    assert "in memory" in saved("image", "list").out
    assert saved("prune", "--all").out != "0 B"
    assert saved_names(saved) == [] and saved.json("image", "list")[0]["saved"] == 0


def test_what_is_stale_is_pruned(saved):
    [image] = saved.json("image", "list")
    assert saved_names(saved)
    saved("image", "delete", image["digest"])
    assert saved_names(saved) == []


def test_the_limit_is_kept_by_least_recent_use(kept, saved):
    [old] = saved_names(saved)
    size = sum(p.stat().st_blocks * 512 for p in (saved.home / "_saved" / old).iterdir())
    saved.environment["COVE_SAVED_LIMIT"] = str(size * 3 // 2)
    other = ("--memory", "400M", "--cpus", "1")
    saved("run", *other, OS, "--", "true")
    eventually(lambda: saved_names(saved) not in ([], [old]) and len(saved_names(saved)) == 1, 300, "the other to be saved")


def test_a_daemon_that_is_killed_while_it_saves_leaves_nothing(cove):
    cove.environment["COVE_SAVED_LIMIT"] = "8G"
    boot_id(cove)
    staged = lambda: list((cove.home / "_saved").glob(".stage-*/ha.stdout.log"))
    eventually(staged, 60, "a machine to be saved")
    os.kill(cove.daemon_pid(), signal.SIGKILL)
    assert cove.instances() == []  # of a daemon that is new
    assert not staged()
    boot_id(cove)
    await_saved(cove)


def test_no_key_is_in_it(kept):
    """What makes a machine somebody's comes after it was saved: the ssh keys of both sides, the user."""
    for file in (kept.home / "_saved" / kept.key).iterdir():
        assert file.stat().st_mode & 0o777 == 0o400
        data = file.read_bytes()
        assert not re.search(rb"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI[A-Za-z0-9+/]{20}", data)
        assert b"b3BlbnNzaC1rZXktdjEA" not in data
