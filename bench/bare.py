"""The floor: the same kernel, image and QEMU flags, driven by a bare script without cove.

A bare machine has an initrd of busybox and one shell script. It says what it reached by lines on the serial
port; times are taken when the line arrives here.
"""
import os
import select
import socket
import subprocess
import tempfile
import time

MEMORY_MIB = 512
CPUS = 2
KERNEL_ARGUMENTS = "console=ttyS0 quiet loglevel=3 panic=-1 net.ifnames=0 rdinit=/init"


def _cpio_entry(name, mode, data=b"", ino=[0]):
    ino[0] += 1
    path = name.encode() + b"\0"
    fields = [ino[0], mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0]
    header = b"070701" + b"".join(b"%08x" % f for f in fields) + path
    return header + b"\0" * (-len(header) % 4) + data + b"\0" * (-len(data) % 4)


def make_initrd(modules_cpio, script):
    """modules.cpio of an image, a static busybox and `script` as /init."""
    with open("/bin/busybox", "rb") as f:
        busybox = f.read()
    head = "#!/bin/busybox sh\nbb=/bin/busybox\n"
    parts = [
        _cpio_entry("bin", 0o040755), _cpio_entry("proc", 0o040755), _cpio_entry("sys", 0o040755),
        _cpio_entry("dev", 0o040755), _cpio_entry("sysroot", 0o040755),
        _cpio_entry("bin/busybox", 0o100755, busybox),
        _cpio_entry("init", 0o100755, (head + script).encode()),
        _cpio_entry("TRAILER!!!", 0),
    ]
    with open(modules_cpio, "rb") as f:
        modules = f.read()
    return modules + b"\0" * (-len(modules) % 4) + b"".join(parts)


PREPARE = """
$bb mount -t devtmpfs dev /dev
$bb mount -t proc proc /proc
$bb mount -t sysfs sys /sys
while read m; do $bb insmod $m 2>/dev/null; done < /lib/cove/modules
"""

# The port is found by name; its device appears shortly after the driver was loaded.
PORT = """
port=
while [ -z "$port" ]; do
  for p in /sys/class/virtio-ports/*; do
    [ "$($bb cat $p/name 2>/dev/null)" = org.cove.agent ] && port=/dev/${p##*/}
  done
done
while [ ! -c $port ]; do :; done
"""


class BareMachine:
    """QEMU as cove starts it, less the confinement: it is the floor that cove is compared with."""

    def __init__(self, qemu, image_dir, script, disk=False):
        self.dir = tempfile.TemporaryDirectory(prefix="cove-bench-")
        initrd = os.path.join(self.dir.name, "initrd")
        with open(initrd, "wb") as f:
            f.write(make_initrd(os.path.join(image_dir, "modules.cpio"), script))
        self.port, port = socket.socketpair()
        argv = [
            qemu, "-nodefaults", "-no-user-config", "-display", "none", "-M", "q35", "-accel", "tcg,thread=multi",
            "-cpu", "max", "-smp", str(CPUS), "-m", str(MEMORY_MIB), "-no-reboot",
            "-kernel", os.path.join(image_dir, "kernel"), "-initrd", initrd, "-append", KERNEL_ARGUMENTS,
            "-serial", "stdio", "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=port,fd={port.fileno()}",
            "-device", "virtserialport,chardev=port,name=org.cove.agent",
        ]
        if disk:
            overlay = os.path.join(self.dir.name, "disk")
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b",
                            os.path.join(image_dir, "root.img"), overlay, "100G"], check=True)
            argv += ["-drive", f"file={overlay},if=virtio,format=qcow2,cache.no-flush=on"]
        self.started = time.monotonic()
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, pass_fds=[port.fileno()])
        port.close()
        self.seen = b""

    def wait_for(self, marker, limit=120):
        """Seconds from the start of QEMU to the line `marker`."""
        deadline = self.started + limit
        while marker.encode() not in self.seen:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not data:
                raise RuntimeError(f"the bare machine did not say {marker}: {self.seen[-500:]!r}")
            self.seen += data
        return time.monotonic() - self.started

    def close(self):
        self.process.kill()
        self.process.wait()
        self.port.close()
        self.dir.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# To init: nothing but the kernel.
SCRIPT_INIT = "echo REACHED-INIT > /dev/console\n$bb sleep 1000\n"

# The same image without cove: modules, root, systemd; a unit after default.target says so.
SCRIPT_IMAGE = PREPARE + """
while [ ! -b /dev/vda ]; do :; done
$bb mount -t ext4 -o noatime /dev/vda /sysroot
$bb mkdir -p /dev/pts
for m in dev proc sys; do $bb mount --move /$m /sysroot/$m; done
$bb mount -t tmpfs -o mode=755 run /sysroot/run
d=/sysroot/run/systemd/system
$bb mkdir -p $d/default.target.wants
echo "[Unit]
After=default.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo REACHED-RUNNING > /dev/ttyS0'" > $d/reached.service
$bb ln -s ../reached.service $d/default.target.wants/reached.service
exec $bb switch_root /sysroot /sbin/init
"""

# The bare port: 256 MiB out, then 256 MiB in.
STREAM_MIB = 256
SCRIPT_PORT = PREPARE + PORT + f"""
exec 3<>$port
echo REACHED-PORT > /dev/console
$bb dd if=/dev/zero bs=64k count={STREAM_MIB * 16} >&3 2>/dev/null
$bb head -c {STREAM_MIB << 20} <&3 > /dev/null
echo REACHED-END > /dev/console
$bb sleep 1000
"""
