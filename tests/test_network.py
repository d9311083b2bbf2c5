"""What a root in the guest reaches, and what he does not."""

import contextlib
import ipaddress
import json
import os
import socket
import subprocess
import threading
import time

import pytest

from support import BIN, OS, SMALL

pytestmark = pytest.mark.timeout(600)


def probe(machine, address: str, port: int) -> str:
    """Connects from the guest by plain sockets: "connected", or why not."""
    host = f"[{address}]" if ":" in address else address
    family = "6" if ":" in address else "4"
    script = f"""
        if timeout 8 bash -c 'exec 3<>/dev/tcp/{address}/{port}' 2>/tmp/why; then echo connected
        else cat /tmp/why; fi"""
    assert host and family
    return machine.sh("shared", script).out


@contextlib.contextmanager
def listener(address: str, family=socket.AF_INET):
    with socket.socket(family) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(socket.getaddrinfo(address, 0, family)[0][4])  # with the interface of a link-local one
        server.listen()
        accepted = []

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    accepted.append(server.accept())

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1], accepted
        server.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def name_server(address: str, answer: str):
    """Answers every question for an IPv4 address with `answer`, and every other one with nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    packet, client = server.recvfrom(512)
                    end = packet.index(b"\0", 12) + 5  # after name, type and class
                    question, is_a = packet[12:end], packet[end - 4:end - 2] == b"\0\1"
                    record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(answer) if is_a else b""
                    header = packet[:2] + b"\x81\x80\0\1" + bytes([0, is_a]) + b"\0\0\0\0"
                    server.sendto(header + question + record, client)

        threading.Thread(target=serve, daemon=True).start()
        yield


def host_addresses():
    """(address, family) of every address of this host, loopback and link-local included."""
    rows = json.loads(subprocess.check_output(["ip", "-json", "address"]))
    for row in rows:
        for address in row["addr_info"]:
            if "local" in address:
                yield address["local"], row["ifname"]


@pytest.fixture(scope="module")
def python(machine):
    """bash's /dev/tcp suffices; this makes sure that it works at all, so that refusals mean something."""
    machine.sh("shared", "nc -l -p 7 >/dev/null 2>&1 & true")
    return machine


@pytest.mark.parametrize("alias", ["10.0.2.2", "10.0.2.3", "127.0.0.1", "fec0::2", "fec0::3"])
def test_host_loopback_is_out_of_reach(machine, alias):
    """slirp's aliases of the host: the gateway and the name server."""
    with listener("127.0.0.1") as (port, accepted):
        assert probe(machine, alias, port) != "connected"
        assert accepted == []
    with listener("::1", socket.AF_INET6) as (port, accepted):
        assert probe(machine, alias, port) != "connected"
        assert accepted == []


def test_host_addresses_are_out_of_reach(machine):
    tried = 0
    for address, interface in host_addresses():
        parsed = ipaddress.ip_address(address)
        if parsed.is_link_local:
            continue  # of another link than the guest's; the next test
        family = socket.AF_INET6 if parsed.version == 6 else socket.AF_INET
        with listener(address, family) as (port, accepted):
            assert probe(machine, address, port) != "connected", (address, interface)
            if parsed.version == 4:
                assert probe(machine, f"::ffff:{address}", port) != "connected"
            assert accepted == [], (address, interface)
        tried += 1
    assert tried


@pytest.mark.parametrize("address", [
    "169.254.169.254", "169.254.170.2", "169.254.1.1", "fd00:ec2::254", "fe80::1%eth0", "0.0.0.0",
    "255.255.255.255", "224.0.0.1", "::", "::1", "100.100.100.200", "127.0.0.2", "192.0.0.192"])
def test_metadata_and_link_local_are_out_of_reach(machine, address):
    assert probe(machine, address, 80) != "connected"


def test_host_link_local_is_out_of_reach(machine):
    """The guest's link is another one; nothing on it answers for the host."""
    tried = 0
    for address, interface in host_addresses():
        if ipaddress.ip_address(address).is_link_local and ":" in address:
            with listener(f"{address}%{interface}", socket.AF_INET6) as (port, accepted):
                assert probe(machine, f"{address}%eth0", port) != "connected", interface
                assert accepted == []
            tried += 1
    if not tried:
        pytest.skip("this host has no link-local address")


@pytest.mark.parametrize("address", ["10.0.2.2", "169.254.169.254", "100.100.100.200", "fec0::2", "fd00:ec2::254"])
def test_what_is_refused_fails_at_once(machine, address):
    began = time.monotonic()
    assert "Connection timed out" not in (why := probe(machine, address, 22)) and why not in ("", "connected"), why
    assert time.monotonic() - began < 6  # the probe itself would wait for 8


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a resolv.conf, in a namespace")
def test_names_follow_the_host(cove, tmp_path):
    """The daemon of this test sees an /etc/resolv.conf of its own, which changes while the machine runs."""
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("nameserver 127.77.0.1\n")
    subprocess.run(["unshare", "--mount", "sh", "-c", f"mount --bind {resolv} /etc/resolv.conf && exec {BIN}/cove "
                    "daemon start"], env=cove.environment, check=True, timeout=60)
    with name_server("127.77.0.1", "192.0.2.1"), name_server("127.77.0.2", "192.0.2.2"):
        cove("start", "--name", "names", *SMALL, OS)
        resolve = lambda name: cove.sh("names", f"getent ahostsv4 {name}", check=False).out.split()[:1]
        assert resolve("one.test") == ["192.0.2.1"]
        resolv.write_text("nameserver 127.77.0.2\n")
        time.sleep(1.5)
        assert resolve("two.test") == ["192.0.2.2"]


def test_forged_frames_reach_nothing(machine):
    """The filter looks at frames, not at the guest's own routing: extra addresses and routes change nothing."""
    with listener("127.0.0.1") as (port, accepted):
        machine.sh("shared", f"""
            ip address add 127.0.0.5/32 dev eth0 2>/dev/null
            ip route add 169.254.0.0/16 via 10.0.2.2 2>/dev/null
            sysctl -qw net.ipv4.conf.eth0.route_localnet=1
            ip route add table 99 127.0.0.1 via 10.0.2.2 dev eth0 2>/dev/null
            ip rule add to 127.0.0.1 table 99 pref 0 2>/dev/null
            timeout 8 bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' 2>/dev/null
            ip rule del to 127.0.0.1 table 99; ip route flush table 99
            ip address del 127.0.0.5/32 dev eth0; ip route del 169.254.0.0/16; true""", check=False)
        assert accepted == []
    assert probe(machine, "169.254.169.254", 80) != "connected"


def test_other_instances_are_out_of_reach(machine):
    """Every instance is 10.0.2.15 to itself; nothing listens elsewhere in its network."""
    for address in ("10.0.2.16", "10.0.2.14", "10.0.2.255"):
        assert probe(machine, address, 22) != "connected"


@pytest.mark.network
def test_the_rest_is_reachable(machine):
    """Names resolve and Debian's archive answers, by apt's own means."""
    if subprocess.run(["getent", "--service=dns", "hosts", "deb.debian.org"], capture_output=True).returncode:
        pytest.skip("this host has no name service")
    assert machine.sh("shared", "getent hosts deb.debian.org").out
    result = machine.sh("shared", "apt-get update -o Acquire::Retries=0 -o Acquire::http::Timeout=30 2>&1",
                        check=False)
    if result.status and "Unable to connect" in result.out:
        pytest.skip("Debian's archive does not answer here")
    assert result.status == 0, result.out


def test_addresses_in_the_guest(machine):
    assert "10.0.2.15/24" in machine.sh("shared", "ip -4 -o address show eth0").out
    assert "via 10.0.2.2" in machine.sh("shared", "ip route show default").out
    assert "10.0.2.3" in machine.sh("shared", "cat /etc/resolv.conf").out
