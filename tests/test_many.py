"""Many machines that begin from one saved one and live at once."""

import contextlib
import shutil

import pytest

from support import BOOT, OS, SMALL, Cove, await_saved, link_images, saved_names

# Answers what it is asked, a line each. "read": files that nobody has read, and the journal of the boot, in memory.
SERVE = r"""
echo ready
while read -r word; do
  case $word in
    id) cat /etc/machine-id ;;
    read) echo "$(find /usr/lib -type f -exec cat {} + | sha256sum) $(journalctl -b | grep -c 'Startup finished')" ;;
    *) echo "$word" ;;
  esac
done
"""


class Kept:
    """A `cove run` that lives until its input ends."""

    def __init__(self, cove):
        self.process = cove.popen("run", "--quiet", *SMALL, OS, "--", "sh", "-c", SERVE)
        assert self.line() == "ready"

    def line(self):
        return self.process.stdout.readline().decode().strip()

    def say(self, word):
        self.process.stdin.write(word.encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, word):
        self.say(word)
        return self.line()

    def end(self):
        _, errors = self.process.communicate(timeout=BOOT)
        assert self.process.returncode == 0, errors


@pytest.fixture
def many(area, store, nothing_left):
    """A state directory with a saved machine."""
    cove = Cove(area / "many", COVE_SAVED_LIMIT="8G")
    link_images(store.home, cove.home)
    cove("run", *SMALL, OS, "--", "true")
    await_saved(cove)
    yield cove
    cove.clear()
    shutil.rmtree(cove.root)


def test_many_live_at_once_and_need_nothing_of_the_original(many, request):
    """What they began from is pruned, their image is kept: they read what they had not read before, alike."""
    count = 50 if request.config.getoption("--full") else 6
    with contextlib.ExitStack() as stack:
        machines = []
        for number in range(count):
            machines.append(Kept(many))
            stack.callback(machines[-1].process.kill)
        boot_ids = {many("shell", name, "--", "cat", "/proc/sys/kernel/random/boot_id").out
                    for name in many.instances()[:2]}
        assert len(boot_ids) == 1  # all of one
        assert [m.ask(f"word{i}") for i, m in enumerate(machines)] == [f"word{i}" for i in range(count)]
        assert len(many.instances()) == count
        ids = [m.ask("id") for m in machines]
        assert all(len(each) == 32 for each in ids) and len(set(ids)) == count

        assert many("prune", "--all").out != "0 B"
        assert saved_names(many) == []
        [image] = many.json("image", "list")
        assert many("image", "delete", image["digest"], check=False).status == 1
        for machine in machines:
            machine.say("read")
        [read] = {m.line() for m in machines}
        assert read.endswith("- 1"), read
        for machine in machines:
            machine.end()
