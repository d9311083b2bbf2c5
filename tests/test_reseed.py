"""What the agent's reseed is for: without it, machines that begin from one saved state draw the same random numbers.

A bare machine without cove, whose first process is bench/guest/draw_init.cc, is saved once. All clones begin from that
and are driven alike: nothing but a seed in what they are asked makes the difference.
"""

import secrets
import sys
import tempfile
from pathlib import Path

import pytest

from support import BIN

sys.path.append(str(Path(__file__).resolve().parent.parent / "bench"))
from bare_saved import BareSaved

INIT = BIN.parent / "bench/draw-init"
CLONES = 20
SEED = 64  # bytes, as the supervisor gives
KINDS = 3  # of getrandom, of /dev/urandom, a UUID


def without_random_numbers_of_the_host(command):
    """Neither a device nor an instruction brings them into the clones."""
    device, processor = command.index("virtio-rng-pci"), command.index("-cpu") + 1
    command[processor] += ",-rdrand,-rdseed"
    return command[:device - 1] + command[device + 1:]


@pytest.fixture(scope="module")
def bare(machine, area):
    if not INIT.exists():
        pytest.skip(f"there is no {INIT}")
    words = Path(f"/proc/{machine.qemu_pid('shared')}/cmdline").read_bytes().split(b"\0")[:-1]
    command = without_random_numbers_of_the_host([word.decode() for word in words])
    image = machine.home / "_images" / machine.json("info", "shared")["image"]
    with tempfile.TemporaryDirectory(dir=area) as directory:
        # At once: some seconds after the last time, the kernel reseeds by itself.
        yield BareSaved(command, image, INIT, Path(directory), "REACHED-DRAW", idle=0)


def draw(bare, request):
    """What a new clone draws as the first thing that it does."""
    with bare.clone() as port:
        port.sendall(f"{request}\n".encode())
        lines = port.makefile("r")
        drawn = [lines.readline() for _ in range(KINDS)]
    assert all(len(line) > 32 for line in drawn), drawn
    return drawn


def different(draws):
    """How many of each kind are."""
    return [len(set(of)) for of in zip(*draws)]


def test_without_the_reseed_clones_draw_the_same(bare):
    draws = [draw(bare, "draw") for _ in range(CLONES)]
    assert max(different(draws)) < CLONES, draws


def test_with_the_reseed_they_differ(bare):
    draws = [draw(bare, f"draw {secrets.token_hex(SEED)}") for _ in range(CLONES)]
    assert different(draws) == [CLONES] * KINDS, draws
