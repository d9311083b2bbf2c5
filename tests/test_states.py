"""Machines that sleep, and what is made of them: suspend, resume, clones, snapshots."""

import os
import re
import signal
import subprocess
import time

import pytest

from support import BOOT, OS, SMALL, Cove, eventually, fill, kill, link_images, needs_mount

IDENTITY = "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub; hostname; cat /proc/sys/kernel/random/uuid"
SLEEPER = "pgrep -xf 'sleep 54321'"
# A connection between two processes of the guest, one that listens for words at a FIFO and says them through it.
INSIDE = r"""
use IO::Socket::INET;
my $l = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => 5000, ReuseAddr => 1) or die;
my $c = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => 5000) or die;
my $s = $l->accept;
while (!-e '/run/go') { select undef, undef, undef, 0.05 }
syswrite $c, "word\n"; sysread $s, my $got, 5;
open my $out, '>', '/run/said.new'; print $out $got; close $out; rename '/run/said.new', '/run/said';
"""


def begin(cove, name, script, *options):
    """A command that goes on by itself."""
    cove.sh(name, f"setsid sh -c '{script}' </dev/null >/dev/null 2>&1 & true", *options)


@pytest.fixture(scope="module")
def sleeping(area, store):
    """A state directory with the instance `bed`, which runs between the tests."""
    cove = Cove(area / "states")
    link_images(store.home, cove.home)
    cove("start", "--name", "bed", *SMALL, OS)
    begin(cove, "bed", "exec sleep 54321")
    yield cove
    cove.clear()


@pytest.fixture
def bed(sleeping):
    sleeping("start", "bed")
    yield sleeping
    for name in sleeping.instances():
        if name != "bed":
            sleeping("delete", "--force", name)


@pytest.mark.smoke
def test_what_runs_goes_on(bed):
    before = bed.sh("bed", f"{SLEEPER}; echo kept >/dev/shm/word; cat /proc/sys/kernel/random/boot_id; {IDENTITY}").out
    bed("suspend", "bed")
    assert bed.state("bed") == "suspended" and not bed.supervisor_pid("bed")
    bed("suspend", "bed")  # no error
    time.sleep(3)
    bed("resume", "bed")
    assert bed.state("bed") == "ready"
    after = bed.sh("bed", f"{SLEEPER}; cat /proc/sys/kernel/random/boot_id; {IDENTITY}; cat /dev/shm/word; date +%s").out
    *after, word, now = after.split("\n")
    assert after[:-1] == before.split("\n")[:-1]  # all but the random number
    assert word == "kept" and abs(int(now) - time.time()) < 2
    bed("resume", "bed")  # no error
    assert bed.sh("bed", "cat /sys/fs/cgroup/*/cgroup.freeze | sort -u").out == "0"


def test_connections_inside_are_kept(bed):
    bed.sh("bed", "cat >/root/inside.pl", input=INSIDE.encode())
    begin(bed, "bed", "exec perl /root/inside.pl")
    established = "ss -Htn state established sport = :5000 | wc -l"
    eventually(lambda: bed.sh("bed", established).out == "1", 60, "the connection")
    bed("suspend", "bed")
    bed("resume", "bed")
    time.sleep(2)  # until those to others were reset
    bed.sh("bed", "touch /run/go")
    assert eventually(lambda: bed.sh("bed", "cat /run/said", check=False).out, 60, "the word") == "word"


@pytest.mark.network
def test_connections_to_others_are_reset(bed):
    """A program that waits for what never comes is told so."""
    begin(bed, "bed", 'exec bash -c "exec 3<>/dev/tcp/deb.debian.org/80; touch /run/open; cat <&3; touch /run/reset"')
    eventually(lambda: bed.sh("bed", "test -e /run/open", check=False).status == 0, 60, "the connection")
    bed("suspend", "bed")
    bed("resume", "bed")
    eventually(lambda: bed.sh("bed", "test -e /run/reset", check=False).status == 0, 15, "the connection's end")


def test_clients_are_told_and_commands_are_attached_again(bed):
    client = bed.popen("shell", "--user", "root", "bed", "--", "sh", "-c", "cat; echo ended", stdin=subprocess.PIPE)
    [command] = eventually(lambda: bed.json("ps", "bed"), 60, "the command")
    bed("suspend", "bed")
    out, err = client.communicate(timeout=BOOT)
    assert client.returncode == 125 and b"suspended" in err
    refused = bed("shell", "bed", "--", "true", check=False)
    assert refused.status == 125 and "cove resume bed" in refused.err
    bed("resume", "bed")
    assert bed("attach", "bed", command["id"]).out == "ended"


def test_all_may_end_meanwhile(bed):
    bed("suspend", "bed")
    kill(bed.daemon_pid())
    assert bed.state("bed") == "suspended"  # so says the next daemon
    bed("daemon", "stop")
    bed("start", "bed")  # is resume, for what is suspended
    assert bed.sh("bed", SLEEPER).status == 0


def test_memory_lies_there_encrypted(bed):
    word = "xyzzy-" + "plugh" * 3
    bed.sh("bed", f"echo {word} >/dev/shm/secret; echo {word} | tee /dev/shm/again")
    bed("suspend", "bed")
    key = bed.root / "config/memory.key"
    assert key.stat().st_mode & 0o777 == 0o600 and bed.home not in key.parents
    secrets = [word.encode(), key.read_bytes()]
    for path in bed.home.rglob("*"):
        if path.is_file() and "_images" not in path.parts:
            assert not any(secret in path.read_bytes() for secret in secrets), path
    assert (bed.home / "bed/suspended").stat().st_mode & 0o777 == 0o400
    bed("resume", "bed")
    assert bed.sh("bed", "cat /dev/shm/secret").out == word


@pytest.mark.parametrize("harm", ["key", "damage", "cut", "other"])
def test_a_failed_resume_keeps_the_state(bed, harm):
    bed("suspend", "bed")
    state, key = bed.home / "bed/suspended", bed.root / "config/memory.key"
    whole, its_key = state.read_bytes(), key.read_bytes()
    state.chmod(0o600)
    if harm == "key":
        key.unlink()
    elif harm == "damage":
        state.write_bytes(whole[:5_000_000] + bytes([whole[5_000_000] ^ 1]) + whole[5_000_001:])
    elif harm == "cut":
        state.write_bytes(whole[:-1000])
    else:
        key.write_bytes(bytes(32))
    try:
        failed = bed("resume", "bed", check=False)
        assert failed.status == 1 and "cove start --cold bed" in failed.err
        assert ("missing" if harm == "key" else "damaged") in failed.err
        assert bed.state("bed") == "suspended"
    finally:
        state.write_bytes(whole)
        key.write_bytes(its_key)
        key.chmod(0o600)
    bed("resume", "bed")
    assert bed.sh("bed", SLEEPER).status == 0


def test_it_can_be_booted_instead(bed):
    bed("clone", "bed", "waking")
    bed("start", "--cold", "waking")
    assert bed.sh("waking", SLEEPER, check=False).status == 1
    bed("stop", "--force", "waking")
    assert bed.state("waking") == "stopped"
    assert "not suspended" in bed("resume", "waking", check=False).err


def test_what_cannot_be_suspended(bed):
    bed("create", "--name", "fresh", *SMALL, OS)
    for words, reason in [(["suspend", "fresh"], "not running"), (["suspend", "none"], "no instance"),
                          (["resume", "fresh"], "not suspended"), (["clone", "bed", "fresh"], "already"),
                          (["clone", "bed", "../x"], "../x"), (["clone", "none", "new"], "no instance"),
                          (["snapshot", "create", "bed", "a/b"], "a/b"), (["snapshot", "apply", "bed", "none"], "none"),
                          (["snapshot", "delete", "bed", "none"], "no snapshot")]:
        refused = bed(*words, check=False)
        assert refused.status in (1, 2) and reason in refused.err, words
    run = bed.popen("run", "--name", "brief", *SMALL, OS, "--", "cat", stdin=subprocess.PIPE)
    eventually(lambda: "brief" in bed.instances() and bed.state("brief") == "ready", BOOT, "a run")
    for words in (["suspend", "brief"], ["clone", "brief", "other"], ["snapshot", "create", "brief", "one"]):
        assert "deleted when its command ends" in bed(*words, check=False).err
    run.communicate()
    assert run.returncode == 0


@pytest.mark.smoke
def test_clones_are_machines_of_their_own(bed):
    """Of one that runs, is suspended, and is stopped; and of a clone. None harms another."""
    bed.sh("bed", "echo common >/root/word; sync; echo word >/dev/shm/secret")
    warned = bed("clone", "bed", "running")
    assert "secrets" in warned.err and bed.state("running") == "suspended"
    bed("suspend", "bed")
    assert "secrets" in bed("clone", "bed", "suspended").err
    bed("resume", "running")
    for name in ("suspended", "bed"):
        bed("resume", name)
    seen = {}
    for name in ("bed", "running", "suspended"):
        assert bed.sh(name, f"cat /root/word /dev/shm/secret; {SLEEPER} >/dev/null").out == "common\nword"
        # sshd's key, as it is made or renewed by now
        seen[name] = eventually(lambda: bed.sh(name, IDENTITY, check=False).out.split("\n"), 60, "its identity")
        assert abs(int(bed.sh(name, "date +%s").out) - time.time()) < 2
        bed.sh(name, f"echo {name} >/root/word; sync")
    bed("stop", "running")
    assert bed("clone", "running", "stopped").err.count("secrets") == 0
    bed("delete", "running")
    bed("start", "stopped")
    assert bed.sh("stopped", "cat /root/word").out == "running"
    seen["stopped"] = bed.sh("stopped", IDENTITY).out.split("\n")
    assert all(len(each) == 4 for each in seen.values()), seen
    for of in zip(*seen.values()):
        assert len(set(of)) == len(seen), of
    assert bed.sh("bed", "cat /root/word").out == "bed"
    assert bed("shell", "stopped", "--", "hostname").out == "stopped"


def test_a_clone_is_reached_by_ssh(bed):
    bed("clone", "bed", "twin")
    bed("resume", "twin")
    config = bed.home / "twin/ssh.config"
    eventually(config.exists, 60, "ssh.config")
    reached = subprocess.run(["ssh", "-F", config, "twin", "hostname"], capture_output=True, text=True,
                             env=bed.environment, timeout=BOOT)
    assert reached.stdout.strip() == "twin", reached.stderr


@pytest.mark.smoke
def test_snapshots_of_one_that_runs(bed):
    bed.sh("bed", "echo first >/root/word; sync; echo memory >/dev/shm/word")
    bed("snapshot", "create", "bed", "first")
    assert "already" in bed("snapshot", "create", "bed", "first", check=False).err
    assert bed.state("bed") == "ready" and bed.sh("bed", "cat /dev/shm/word").out == "memory"
    bed.sh("bed", "echo second >/root/word; rm /dev/shm/word; sync")
    bed("snapshot", "create", "bed", "second")
    names = [(s["name"], s["memory"]) for s in bed.json("snapshot", "list", "bed")]
    assert names == [("first", True), ("second", True)]
    assert "running" in bed("snapshot", "apply", "bed", "first", check=False).err
    bed("snapshot", "apply", "--force", "bed", "first")
    assert bed.state("bed") == "suspended"
    bed("resume", "bed")
    assert bed.sh("bed", f"cat /root/word /dev/shm/word; {SLEEPER} >/dev/null && echo runs").out == "first\nmemory\nruns"
    bed("suspend", "bed")
    bed("snapshot", "delete", "bed", "first")
    bed("snapshot", "apply", "bed", "second")  # what it is built upon is there still
    bed("resume", "bed")
    assert bed.sh("bed", "cat /root/word; test -e /dev/shm/word || echo gone").out == "second\ngone"
    bed("snapshot", "delete", "bed", "second")
    assert bed.json("snapshot", "list", "bed") == []
    assert not list((bed.home / "bed/snapshots").iterdir())


def test_snapshots_of_one_that_does_not_run(bed):
    bed("create", "--name", "still", *SMALL, OS)
    bed("snapshot", "create", "still", "empty")
    bed("start", "still")
    bed.sh("still", "echo written >/root/word; sync")
    bed("stop", "still")
    bed("snapshot", "create", "still", "written")
    bed("snapshot", "create", "still", "again")
    assert [s["memory"] for s in bed.json("snapshot", "list", "still")] == [False] * 3
    assert len(list((bed.home / "still/layers").iterdir())) == 1  # nothing was written in between
    for name, found in [("empty", ""), ("written", "written")]:
        bed("snapshot", "apply", "still", name)
        assert bed.state("still") == "stopped"
        bed("start", "still")
        assert bed.sh("still", "cat /root/word", check=False).out == found
        bed("stop", "--force", "still")


def steps(config):
    """Moments of something that takes half a second."""
    return range(6) if config.getoption("--full") else (0, 2, 4)


def settle(cove, name):
    """What is said of it, once nothing is under way; who was killed is known to be dead by then."""
    time.sleep(0.3)
    return eventually(lambda: (i := cove.json("info", name))["operation"] == "" and i["state"] != "stopping" and i,
                      60, "it to settle")


@pytest.mark.parametrize("victim", ["daemon", "supervisor", "qemu"])
def test_killed_while_it_is_suspended(bed, victim, pytestconfig):
    """At moments spread over it: it runs on, is suspended and goes on, or has failed and boots. Its disk is whole."""
    for step in steps(pytestconfig):
        bed("start", "bed")
        bed.sh("bed", f"echo {victim}{step} >/root/word; sync")
        client = bed.popen("suspend", "bed")
        time.sleep(0.08 * (step + 1))
        kill({"daemon": bed.daemon_pid, "supervisor": lambda: bed.supervisor_pid("bed"),
              "qemu": lambda: bed.qemu_pid("bed")}[victim]())
        client.communicate(timeout=BOOT)
        assert settle(bed, "bed")["state"] in ("ready", "suspended", "failed", "stopped")
        if client.returncode == 0:
            assert bed.state("bed") == "suspended"
        bed("start", "bed")
        assert bed.sh("bed", "cat /root/word").out == f"{victim}{step}"
    if bed.sh("bed", SLEEPER, check=False).status != 0:
        begin(bed, "bed", "exec sleep 54321")


@pytest.mark.parametrize("victim", ["supervisor", "qemu"])
def test_killed_while_it_resumes(bed, victim, pytestconfig):
    """Before its agent has answered: it is suspended as it was, however often. Later: its power failed."""
    bed.sh("bed", "echo before >/root/word; sync; echo kept >/dev/shm/word")
    bed("suspend", "bed")
    early, state = 0, bed.home / "bed/suspended"
    for step in steps(pytestconfig):
        client = bed.popen("resume", "bed")
        while not (qemu := bed.qemu_pid("bed")):
            assert client.poll() is None, client.communicate()
        time.sleep(0.04 * step)
        os.kill(qemu, signal.SIGSTOP)
        time.sleep(0.3)  # what it said is heard by now
        if not state.exists():
            break
        assert "resuming" in bed("suspend", "bed", check=False).err
        early += 1
        kill(qemu if victim == "qemu" else bed.supervisor_pid("bed"))
        client.communicate(timeout=BOOT)
        assert client.returncode == 1
        assert settle(bed, "bed")["state"] == "suspended" and state.exists()
    else:
        client = bed.popen("resume", "bed")
        while not (qemu := bed.qemu_pid("bed")):
            assert client.poll() is None, client.communicate()
    assert early > 0
    os.kill(qemu, signal.SIGCONT)
    client.communicate(timeout=BOOT)
    assert client.returncode == 0 and not state.exists()
    assert bed.sh("bed", f"cat /root/word /dev/shm/word; {SLEEPER} >/dev/null && echo runs").out == "before\nkept\nruns"


@pytest.mark.parametrize("victim", ["supervisor", "qemu"])
def test_killed_while_its_disk_is_merged(bed, victim, pytestconfig):
    """As if its power failed: what was flushed is there, whatever was in the layer and the disk by then."""
    # It goes on from what is there: what is read may be of the counter before.
    count = 'i=$(cat /root/count || echo 0); ' \
            'while i=$((i + 1)); do echo $i >/root/count.new; sync; mv /root/count.new /root/count; done'
    for step in steps(pytestconfig):
        begin(bed, "bed", count)
        before = eventually(lambda: bed.sh("bed", "cat /root/count", check=False).out, 60, "the count")
        bed("suspend", "bed")
        client = bed.popen("resume", "bed")
        supervisor = eventually(lambda: bed.supervisor_pid("bed"), 60, "the supervisor")
        qemu = eventually(lambda: bed.qemu_pid("bed"), 60, "QEMU")
        while (bed.home / "bed/suspended").exists():
            assert client.poll() is None, client.communicate()
        time.sleep(0.004 * step)
        kill(supervisor if victim == "supervisor" else qemu)
        client.communicate(timeout=BOOT)
        assert settle(bed, "bed")["state"] in ("failed", "stopped")
        bed("start", "bed")
        assert int(bed.sh("bed", "cat /root/count").out) >= int(before)
    begin(bed, "bed", "exec sleep 54321")


def test_a_resume_that_failed_can_be_copied_and_booted(bed):
    """What it wrote is in none of the copies."""
    bed.sh("bed", "echo before >/root/word; sync; echo kept >/dev/shm/word")
    bed("suspend", "bed")
    disk = bed.home / "bed/disk"
    disk.write_bytes(b"what a machine that was killed wrote")
    bed("clone", "bed", "copy")
    bed("snapshot", "create", "bed", "one")
    bed("start", "--cold", "copy")
    assert bed.sh("copy", "cat /root/word; test -e /dev/shm/word || echo booted").out == "before\nbooted"
    bed("snapshot", "apply", "bed", "one")
    disk.write_bytes(b"and another")
    bed("resume", "bed")
    assert bed.sh("bed", "cat /root/word /dev/shm/word").out == "before\nkept"
    bed("snapshot", "delete", "bed", "one")


def layers(cove, name):
    directory = cove.home / name / "layers"
    return sorted(directory.iterdir()) if directory.exists() else []


def test_the_chain_of_layers_does_not_grow(bed):
    """Each suspend makes a layer, and each resume merges it; all that was written is there."""
    before, sums = len(layers(bed, "bed")), []
    write = "head -c 1M /dev/urandom >/root/step{0}; sync; echo {0} >/dev/shm/step; md5sum </root/step{0}"
    for step in range(5):
        sums.append(bed.sh("bed", write.format(step)).out)
        bed("suspend", "bed")
        assert len(layers(bed, "bed")) == before + 1
        bed("resume", "bed")
        eventually(lambda: len(layers(bed, "bed")) == before, 30, "the layer to be merged")
        assert bed.sh("bed", "cat /dev/shm/step").out == str(step)
    sums.append(bed.sh("bed", write.format("last")).out)
    bed("clone", "bed", "copy")
    bed("start", "--cold", "copy")
    for name in ("bed", "copy"):
        assert bed.sh(name, "for file in /root/step*; do md5sum <$file; done").out.split("\n") == sums


def test_shared_layers_are_not_merged(bed):
    before = len(layers(bed, "bed"))
    bed.sh("bed", "echo first >/root/word; sync; echo first >/dev/shm/word")
    bed("suspend", "bed")
    bed("snapshot", "create", "bed", "first")
    bed("clone", "bed", "copy")
    shared = layers(bed, "bed")[-1]
    whole = shared.read_bytes()
    for word in ("second", "third"):
        bed("resume", "bed")
        bed.sh("bed", f"echo {word} >/root/word; sync; echo {word} >/dev/shm/word")
        assert len(layers(bed, "bed")) == before + 1
        bed("suspend", "bed")
    assert shared.read_bytes() == whole
    bed("resume", "copy")
    assert bed.sh("copy", "cat /root/word /dev/shm/word").out == "first\nfirst"
    bed("resume", "bed")
    assert bed.sh("bed", "cat /root/word /dev/shm/word").out == "third\nthird"
    bed("snapshot", "apply", "--force", "bed", "first")
    bed("resume", "bed")
    assert bed.sh("bed", "cat /root/word /dev/shm/word").out == "first\nfirst"
    bed("snapshot", "delete", "bed", "first")


@pytest.mark.parametrize("victim", ["daemon", "supervisor"])
def test_killed_while_a_snapshot_is_made(bed, victim, pytestconfig):
    """There is the snapshot or there is none; what was there before, and the instance, are what they were."""
    bed("start", "bed")
    bed.sh("bed", "echo before >/root/word; sync")
    bed("snapshot", "create", "bed", "before")
    made = []
    for step in steps(pytestconfig):
        bed("start", "bed")
        bed.sh("bed", f"echo {step} >/root/word; sync")
        client = bed.popen("snapshot", "create", "bed", f"s{step}")
        time.sleep(0.1 * (step + 1))
        kill(bed.daemon_pid() if victim == "daemon" else bed.supervisor_pid("bed"))
        client.communicate(timeout=BOOT)
        settle(bed, "bed")
        names = [s["name"] for s in bed.json("snapshot", "list", "bed")]
        if client.returncode == 0:
            assert f"s{step}" in names
        if f"s{step}" in names:
            made.append(step)
        bed("start", "bed")
        assert bed.sh("bed", "cat /root/word").out == str(step)
    for name, word in [("before", "before"), *((f"s{step}", str(step)) for step in made[:2])]:
        bed("snapshot", "apply", "--force", "bed", name)
        bed("resume", "bed")
        assert bed.sh("bed", "cat /root/word").out == word
    for snapshot in bed.json("snapshot", "list", "bed"):
        bed("snapshot", "delete", "bed", snapshot["name"])


def test_killed_while_a_snapshot_is_applied(bed, pytestconfig):
    """It is what it was, or what it was to become: never half of each."""
    words = {"one": "first", "two": "second"}
    for name, word in words.items():
        bed.sh("bed", f"echo {word} >/root/word; sync; echo {word} >/dev/shm/word")
        bed("snapshot", "create", "bed", name)
    for step in steps(pytestconfig):
        target = ("one", "two")[step % 2]
        client = bed.popen("snapshot", "apply", "--force", "bed", target)
        time.sleep(0.04 * step)
        if pid := bed.daemon_pid():
            kill(pid)
        client.communicate(timeout=BOOT)
        info = settle(bed, "bed")
        if client.returncode == 0:
            assert info["state"] == "suspended"
        bed("start", "bed")
        disk, *memory = bed.sh("bed", "cat /root/word /dev/shm/word", check=False).out.split("\n")
        if client.returncode == 0:
            assert disk == words[target] and memory == [disk]
        assert memory in ([disk], [])  # switched off, and no further
    for name in words:
        bed("snapshot", "delete", "bed", name)


@needs_mount
def test_a_full_disk_is_no_harm(small_disk_with_image):
    cove = small_disk_with_image
    cove("start", "--name", "tight", *SMALL, OS)
    ballast = fill(cove, 40 << 20)
    for words in (["suspend", "tight"], ["snapshot", "create", "tight", "one"], ["clone", "tight", "other"]):
        failed = cove(*words, check=False)
        assert failed.status == 1 and "No space left" in failed.err, words
        assert eventually(lambda: cove.state("tight") == "ready", 60, "it to go on")
        assert cove.sh("tight", "echo alive").out == "alive"
    assert cove.instances() == ["tight"] and cove.json("snapshot", "list", "tight") == []
    ballast.unlink()
    cove.sh("tight", "echo kept >/dev/shm/word")
    cove("suspend", "tight")
    ballast = fill(cove, 1 << 20)  # for the empty disk, and hardly for what is written next
    client = cove.popen("resume", "tight")
    cove.wait_state("tight", "ready", "paused")
    ballast.unlink()
    client.communicate(timeout=BOOT)
    assert client.returncode == 0
    assert cove.sh("tight", "cat /dev/shm/word; head -c 8M /dev/zero >/root/more; sync && echo alive").out == "kept\nalive"


def test_help_says_what_is_lost(bed):
    for words, said in [(["suspend"], "encrypted"), (["clone"], "passwords and keys"), (["snapshot", "apply"], "is lost")]:
        assert re.search(said, bed("help", *words).out.replace("\n", " "))
