"""The instance by plain ssh, scp and rsync, through the ssh.config that cove writes."""

import hashlib
import os
import subprocess

import pytest

from support import BOOT

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def ssh(machine):
    """Runs ssh, scp or rsync with the instance's configuration; the host is `cove-shared`."""
    config = machine.home / "shared" / "ssh.config"
    assert config.exists()

    def run(*command, check=True, **options):
        environment = {**machine.environment, "SSH_AUTH_SOCK": "", "RSYNC_RSH": f"ssh -F {config}"}
        return subprocess.run([str(c).replace("@CONFIG@", str(config)) for c in command], env=environment,
                              check=check, capture_output=True, timeout=BOOT, **options)

    names = [line.split()[1] for line in config.read_text().splitlines() if line.strip().startswith("Host ")]
    run.host = names[0]
    return run


def test_ssh(ssh):
    result = ssh("ssh", "-F", "@CONFIG@", ssh.host, "id -u; cat", input=b"bytes\0\xff")
    assert result.stdout == b"%d\nbytes\0\xff" % os.getuid()


def test_exit_status(ssh):
    assert ssh("ssh", "-F", "@CONFIG@", ssh.host, "exit 42", check=False).returncode == 42


def test_scp_and_rsync(ssh, tmp_path):
    data = os.urandom(1_000_000)
    (tmp_path / "a file").write_bytes(data)
    ssh("scp", "-F", "@CONFIG@", tmp_path / "a file", f"{ssh.host}:scp-copy")
    ssh("scp", "-F", "@CONFIG@", f"{ssh.host}:scp-copy", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data
    remote = ssh("ssh", "-F", "@CONFIG@", ssh.host, "sha256sum scp-copy; rm scp-copy; command -v rsync || true")
    assert remote.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()
    if b"rsync" not in remote.stdout:
        pytest.skip("the image has no rsync")
    ssh("rsync", "-a", tmp_path / "a file", f"{ssh.host}:rsync-copy")


def test_host_key_is_checked(ssh, machine, tmp_path):
    """Known through the channel, never on first use."""
    config = (machine.home / "shared" / "ssh.config").read_text()
    assert "StrictHostKeyChecking yes" in config and "IdentitiesOnly yes" in config
    effective = ssh("ssh", "-F", "@CONFIG@", "-G", ssh.host).stdout.decode()
    assert "stricthostkeychecking true" in effective
    known = next(l.split(None, 1)[1] for l in effective.splitlines() if l.startswith("userknownhostsfile"))
    forged = tmp_path / "forged"
    subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    lines = open(known).read().split()
    forged.write_text(f"{lines[0]} {' '.join((tmp_path / 'key.pub').read_text().split()[:2])}\n")
    result = ssh("ssh", "-F", "@CONFIG@", "-o", f"UserKnownHostsFile={forged}", ssh.host, "true", check=False)
    assert result.returncode == 255 and b"erification failed" in result.stderr


def test_other_keys_are_refused(ssh, tmp_path):
    subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    config = ssh("ssh", "-F", "@CONFIG@", "-G", ssh.host).stdout.decode()
    proxy = next((l.split(None, 1)[1] for l in config.splitlines() if l.startswith("proxycommand")), "none")
    known = next(l.split(None, 1)[1] for l in config.splitlines() if l.startswith("userknownhostsfile"))
    user = next(l.split()[1] for l in config.splitlines() if l.startswith("user "))
    port = next(l.split()[1] for l in config.splitlines() if l.startswith("port "))
    name = next(l.split()[1] for l in config.splitlines() if l.startswith("hostname "))
    alias = next((l.split()[1] for l in config.splitlines() if l.startswith("hostkeyalias ")), "none")
    result = ssh("ssh", "-F", "none", "-o", f"ProxyCommand={proxy}", "-o", f"UserKnownHostsFile={known}",
                 "-o", "IdentitiesOnly=yes", "-i", tmp_path / "key", "-o", "BatchMode=yes", "-p", port,
                 "-o", f"HostKeyAlias={alias}", f"{user}@{name}", "true", check=False)
    assert result.returncode == 255 and b"Permission denied" in result.stderr, result.stderr


def test_private_files(machine):
    for name in ("ssh.config", "key", "known_hosts"):
        path = machine.home / "shared" / name
        assert path.stat().st_mode & 0o077 == 0, name
