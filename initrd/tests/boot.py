#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots the initrd under QEMU (TCG) with disks made here, and checks what the guest and its console
say. Prints TAP. Needs mke2fs, sfdisk, cpio; no root."""

import argparse
import contextlib
import hashlib
import json
import os
import re
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback

MIB = 1024 * 1024
UUID = "11111111-2222-3333-4444-55555555abcd"
PARTUUID = "aaaaaaaa-bbbb-cccc-dddd-eeeeffff0001"
TOOLS = dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin", LC_ALL="C")


def seconds_to(deadline):
    return max(0.1, deadline - time.monotonic())


class Guest:
    """One QEMU on the microvm board. Its console is read until a pattern or the end."""

    def __init__(self, setup, work, append, disks=(), initrd=None, shares=(), memory=256):
        self.text = ""
        self.deadline = time.monotonic() + setup.timeout
        qmp_path = os.path.join(work, "qmp")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(qmp_path)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(qmp_path)
        listener.listen(1)
        listener.settimeout(setup.timeout)
        argv = [setup.qemu, "-M", "microvm,acpi=on,rtc=on,pcie=off", "-accel", "tcg", "-m",
                str(memory), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                "-global", "virtio-mmio.force-legacy=off", "-serial", "stdio", "-bios", "qboot.rom",
                "-qmp", f"unix:{qmp_path},server=off",
                "-kernel", setup.kernel, "-initrd", initrd or setup.initrd,
                "-append", f"console=ttyS0 {setup.append} {append}"]
        if setup.firmware:
            argv += ["-L", setup.firmware]
        for i, disk in enumerate(disks):
            argv += ["-drive", f"if=none,id=d{i},file={disk},format=raw",
                     "-device", f"virtio-blk-device,drive=d{i},bus=virtio-mmio-bus.{23 - i}"]
        for i, (tag, path) in enumerate(shares):
            argv += ["-fsdev", f"local,id=f{i},path={path},security_model=none",
                     "-device", f"virtio-9p-device,fsdev=f{i},mount_tag={tag}"]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.qmp = None
        self.events = []
        try:
            self.connect(listener)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        if self.qmp:
            self.lines.close()
            self.qmp.close()

    def connect(self, listener):
        """Takes the QMP connection that QEMU makes before it starts the guest."""
        with listener, selectors.DefaultSelector() as waiter:
            waiter.register(listener, selectors.EVENT_READ)
            waiter.register(self.process.stdout, selectors.EVENT_READ)
            ready = [key.fileobj for key, _ in waiter.select(seconds_to(self.deadline))]
            if listener not in ready:
                raise AssertionError(f"QEMU did not start: {self.process.stdout.read()}")
            self.qmp, _ = listener.accept()
        self.qmp.settimeout(seconds_to(self.deadline))
        self.lines = self.qmp.makefile("rw")
        try:
            self.lines.readline()
            self.command("qmp_capabilities")
        except ConnectionError:
            self.process.wait(seconds_to(self.deadline))
            raise AssertionError(f"QEMU did not start: {self.process.stdout.read()}") from None

    def read(self):
        """Adds what the console said to self.text; False at its end. Fails at the deadline."""
        with selectors.DefaultSelector() as waiter:
            waiter.register(self.process.stdout, selectors.EVENT_READ)
            if not waiter.select(seconds_to(self.deadline)):
                raise AssertionError(f"nothing more by the deadline; console:\n{self.text}")
        data = self.process.stdout.read()
        self.text += (data or b"").decode("ascii", "replace").replace("\r", "")
        return data != b""

    def until(self, pattern):
        while not re.search(pattern, self.text):
            assert self.read(), f"QEMU ended without {pattern!r}; console:\n{self.text}"

    def end(self):
        """Waits until the guest has ended QEMU by itself."""
        while self.read():
            pass
        status = self.process.wait(seconds_to(self.deadline))
        assert status == 0, f"QEMU ended with {status}; console:\n{self.text}"
        return self

    def command(self, name, **arguments):
        self.lines.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self.lines.flush()
        while True:
            message = self.next_message()
            if "return" in message:
                return message["return"]

    def event(self, name):
        """The data of the first event of that NAME."""
        while not any(event["event"] == name for event in self.events):
            self.next_message()
        return next(event["data"] for event in self.events if event["event"] == name)

    def next_message(self):
        line = self.lines.readline()
        assert line, f"QMP has ended; console:\n{self.text}"
        message = json.loads(line)
        assert "error" not in message, message
        if "event" in message:
            self.events.append(message)
        return message

    def facts(self, key):
        return re.findall(rf"^guest: {key}=(.*)$", self.text, re.M)

    def says(self, *lines):
        for line in lines:
            assert line in self.text, f"the console does not say {line!r}:\n{self.text}"

    def never_says(self, *lines):
        for line in lines:
            assert line not in self.text, f"the console says {line!r}:\n{self.text}"


def run(*argv, data=None):
    subprocess.run(argv, check=True, env=TOOLS, input=data, stdout=subprocess.DEVNULL)


def make_tree(setup, work, init="/sbin/init"):
    tree = tempfile.mkdtemp(dir=work)
    for name in ("dev", "proc", "sys", "sbin", "bin"):
        os.mkdir(os.path.join(tree, name))
    if init:
        shutil.copy(setup.guest_init, tree + init)
    return tree


def make_disk(setup, work, label="root-fs", uuid=UUID, init="/sbin/init", size=16 * MIB, kind="ext4"):
    handle, path = tempfile.mkstemp(dir=work)
    os.truncate(handle, size)
    os.close(handle)
    run("mke2fs", "-q", "-F", "-t", kind, "-L", label, "-U", uuid, "-d",
        make_tree(setup, work, init), path)
    return path


def make_partitioned(setup, work):
    plain = make_disk(setup, work, label="in-partition")
    handle, path = tempfile.mkstemp(dir=work)
    os.truncate(handle, 24 * MIB)
    os.close(handle)
    table = (f'label: gpt\nstart=2048, size=2048, name="first"\n'
             f'start=8192, size={16 * MIB // 512}, uuid={PARTUUID}, name="the root"\n')
    run("sfdisk", "-q", path, data=table.encode())
    with open(plain, "rb") as source, open(path, "r+b") as target:
        target.seek(8192 * 512)
        shutil.copyfileobj(source, target)
    return path


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def check_handover(guest, root="/dev/vda", kind="ext4", mode="rw"):
    """What every root's init may count on."""
    assert guest.facts("pid") == ["1"], guest.text
    assert guest.facts("done") == [] and "guest: done" in guest.text, guest.text
    mounts = [m.split()[1:4] for m in guest.facts("mount")]
    assert [m[:2] for m in mounts if m[0] in ("/dev", "/proc", "/sys")] == [
        ["/dev", "devtmpfs"], ["/proc", "proc"], ["/sys", "sysfs"]], guest.text
    top = [m for m in guest.facts("mount") if m.split()[1] == "/" and m.split()[2] == kind]
    assert len(top) == 1 and top[0].split()[0] == root, guest.text
    assert top[0].split()[3].split(",")[0] == mode, guest.text
    fds = sorted(fd.split()[0] for fd in guest.facts("fd") if not fd.startswith("3 "))
    assert fds == ["0", "1", "2"], guest.text
    assert all(fd.endswith(" /dev/console") for fd in guest.facts("fd")), guest.text
    guest.never_says("Kernel panic", "BUG:", "WARNING:")


def test_device(setup, work):
    """root=/dev/vda rw: written to, and found written by the next boot"""
    disk = make_disk(setup, work)
    for written in ("no", "yes"):
        with Guest(setup, work, "root=/dev/vda rw quiet", [disk]) as guest:
            check_handover(guest.end())
            assert guest.facts("was-written") == [written], guest.text
            assert guest.facts("writable") == ["yes"], guest.text
            assert guest.facts("argv") == ["/sbin/init"], guest.text
            assert guest.facts("mark") == [], guest.text
            guest.never_says("microvm:")


def test_label(setup, work):
    """root=LABEL= on the second disk, read-only as the kernel's default is"""
    disks = [make_disk(setup, work, label="other", uuid="random"), make_disk(setup, work)]
    before = [digest(d) for d in disks]
    with Guest(setup, work, "root=LABEL=root-fs", disks) as guest:
        check_handover(guest.end(), root="/dev/vdb", mode="ro")
        assert guest.facts("writable") == ["no"], guest.text
    assert [digest(d) for d in disks] == before


def test_uuid(setup, work):
    """root=UUID=, whatever the case, on an ext2"""
    disks = [make_disk(setup, work, uuid="random"), make_disk(setup, work, kind="ext2")]
    with Guest(setup, work, f"root=UUID={UUID.upper()} rw quiet", disks) as guest:
        check_handover(guest.end(), root="/dev/vdb")


def test_partuuid(setup, work):
    """root=PARTUUID="""
    with Guest(setup, work, f"root=PARTUUID={PARTUUID} quiet", [make_partitioned(setup, work)]) as guest:
        check_handover(guest.end(), root="/dev/vda2", mode="ro")


def test_partlabel(setup, work):
    """root=PARTLABEL= with a blank in it"""
    with Guest(setup, work, 'root="PARTLABEL=the root" quiet', [make_partitioned(setup, work)]) as guest:
        check_handover(guest.end(), root="/dev/vda2", mode="ro")


def test_twice(setup, work):
    """two disks of one label: the first is taken, and it is said"""
    disks = [make_disk(setup, work), make_disk(setup, work, uuid="random")]
    with Guest(setup, work, "root=LABEL=root-fs quiet", disks) as guest:
        check_handover(guest.end(), mode="ro")
        guest.says("microvm: 2 disks answer to the name given in root=; taking the first, /dev/vda")


def test_other_bus(setup, work):
    """root=/dev/sda where the disk is vda: taken, and said"""
    with Guest(setup, work, "root=/dev/sda rw quiet rootwait=1", [make_disk(setup, work)]) as guest:
        check_handover(guest.end())
        guest.says("microvm: /dev/sda is not there: taking /dev/vda instead; root=/dev/vda saves")


def test_late(setup, work):
    """rootwait: a disk that gets its file system later is found by its event"""
    ready = make_disk(setup, work)
    late = os.path.join(work, "late")
    with open(late, "wb") as f:
        f.truncate(1024)  # ends before the superblock: only the new size, so the event, shows it
    with Guest(setup, work, "root=LABEL=root-fs rw quiet rootwait", [late]) as guest:
        guest.until("root=LABEL=root-fs is not there yet: waiting, as rootwait asks")
        guest.until("/dev/vda, 1.0 KiB, no known file system")
        shutil.copyfile(ready, late)
        guest.command("block_resize", device="d0", size=16 * MIB)
        check_handover(guest.end())


def test_absent(setup, work):
    """a root that never comes: what was looked for, what is there, power off"""
    disks = [make_disk(setup, work), make_partitioned(setup, work)]
    start = time.monotonic()
    with Guest(setup, work, "root=LABEL=nowhere quiet rootwait=1", disks) as guest:
        guest.end()
        assert guest.event("SHUTDOWN")["reason"] == "guest-shutdown"
        guest.says("microvm: cannot find the root: root=LABEL=nowhere did not appear in 1 s",
                   "microvm: the disks found are:",
                   f'microvm:   /dev/vda, 16.0 MiB, ext4 LABEL="root-fs" UUID="{UUID}"',
                   "microvm:   /dev/vdb, 24.0 MiB, no known file system",
                   f'microvm:   /dev/vdb2, 16.0 MiB, ext4 LABEL="in-partition" UUID="{UUID}" '
                   f'PARTLABEL="the root" PARTUUID="{PARTUUID}"',
                   "microvm: powering off (panic=0 would stay here, panic=SECONDS reboot)")
        guest.never_says("guest:", "Kernel panic")
    assert time.monotonic() - start >= 1


def test_no_disk(setup, work):
    """no disk at all"""
    with Guest(setup, work, "root=/dev/vda quiet rootwait=0") as guest:
        guest.end().says("microvm: there is no disk at all; kernel ", "found 0 virtio devices")


def test_no_root(setup, work):
    """no root= and a root= of no known form"""
    for append, message in (("", "there is no root= on the kernel's command line"),
                            ("root=vda", "root=vda is not a root that this initrd knows")):
        with Guest(setup, work, append + " quiet", [make_disk(setup, work)]) as guest:
            guest.end().says(message, "known are /dev/NAME, LABEL=", "/dev/vda, 16.0 MiB, ext4")


def test_panic(setup, work):
    """panic=-1 reboots, panic=1 reboots after a second, panic=0 stays"""
    for value in ("-1", "1"):
        with Guest(setup, work, f"root=/dev/vda quiet rootwait=0 panic={value}") as guest:
            guest.end()
            assert guest.event("SHUTDOWN")["reason"] == "guest-reset"
    with Guest(setup, work, "root=/dev/vda quiet rootwait=0 panic=0") as guest:
        guest.until("microvm: staying here, as panic=0 asks\n")
        assert guest.command("query-status")["status"] == "running"


def test_marks(setup, work):
    """microvm.marks: the phases are in the kernel's log, in order"""
    with Guest(setup, work, "root=/dev/vda quiet microvm.marks", [make_disk(setup, work)]) as guest:
        check_handover(guest.end(), mode="ro")
        assert guest.facts("mark") == [f"microvm: init {m}" for m in (
            "start", "found /dev/vda", "mounted /dev/vda as ext4", "exec /sbin/init")], guest.text


def test_init(setup, work):
    """init=, and arguments after --"""
    disk = make_disk(setup, work, init="/bin/other")
    with Guest(setup, work, "root=/dev/vda quiet init=/bin/other -- one root=x", [disk]) as guest:
        check_handover(guest.end(), mode="ro")
        assert guest.facts("argv") == ["/bin/other", "one", "root=x"], guest.text


def test_fallback_init(setup, work):
    """without /sbin/init, the kernel's next choices"""
    with Guest(setup, work, "root=/dev/vda quiet", [make_disk(setup, work, init="/bin/sh")]) as guest:
        check_handover(guest.end(), mode="ro")
        assert guest.facts("argv") == ["/bin/sh"], guest.text


def test_no_init(setup, work):
    """a root without an init, and an init= that is not there"""
    disk = make_disk(setup, work, init=None)
    for append, message in (("", "microvm: the root has no init: tried /sbin/init, /etc/init"),
                            ("init=/x", "microvm: cannot execute /x: No such file or directory")):
        with Guest(setup, work, "root=/dev/vda quiet " + append, [disk]) as guest:
            guest.end().says(message, "microvm: powering off")
            guest.never_says("Kernel panic")


def test_overlay(setup, work):
    """microvm.overlay=tmpfs: the guest writes, the disk stays as it is"""
    disk = make_disk(setup, work)
    before = digest(disk)
    with Guest(setup, work, "root=/dev/vda rw quiet microvm.overlay=tmpfs", [disk]) as guest:
        check_handover(guest.end(), root="overlay", kind="overlay")
        assert guest.facts("writable") == ["yes"], guest.text
    assert digest(disk) == before


def test_flags(setup, work):
    """rootflags= for the file system and for all; one that is unknown is told"""
    disk = make_disk(setup, work)
    with Guest(setup, work, "root=/dev/vda rw quiet rootflags=noatime,data=journal", [disk]) as guest:
        check_handover(guest.end())
        top = [m for m in guest.facts("mount") if m.startswith("/dev/vda / ")]
        assert "noatime" in top[0] and "data=journal" in top[0], top
    with Guest(setup, work, "root=/dev/vda quiet rootflags=nonsense", [disk]) as guest:
        guest.end().says("microvm: cannot mount /dev/vda as ext4: Invalid argument")


def test_wrong_type(setup, work):
    """rootfstype= that is not the disk's, then one that is"""
    disk = make_disk(setup, work)
    with Guest(setup, work, "root=/dev/vda quiet rootfstype=nonsense", [disk]) as guest:
        guest.end().says("cannot mount /dev/vda as nonsense: this kernel does not have that file",
                         "/dev/vda, 16.0 MiB, ext4")
    with Guest(setup, work, "root=/dev/vda quiet rootfstype=nonsense,ext4", [disk]) as guest:
        check_handover(guest.end(), mode="ro")


def test_hostile(setup, work):
    """damaged, cut and foreign disks: a message and the end, no panic, no escape sequence"""
    cut = make_disk(setup, work, label="cut")
    os.truncate(cut, 1 * MIB)
    noise = make_disk(setup, work, label="x\033[2Jy")
    with open(noise, "r+b") as f:
        f.seek(4096)
        f.write(os.urandom(8 * MIB))
    lvm = os.path.join(work, "lvm")
    with open(lvm, "wb") as f:
        f.truncate(4 * MIB)
        f.seek(512)
        f.write(b"LABELONE" + bytes(16) + b"LVM2 001")
    messages = (("vda", "microvm: cannot mount /dev/vda as ext4: "),
                ("vdb", "microvm: cannot mount /dev/vdb as ext4: "),
                ("vdc", "microvm: cannot mount the root: /dev/vdc holds LVM2 member"))
    for name, message in messages:
        with Guest(setup, work, f"root=/dev/{name} rw quiet", [cut, noise, lvm]) as guest:
            guest.end().says(message, 'LABEL="x?[2Jy"', "microvm: powering off")
            guest.never_says("\033[2J", "Kernel panic")


def test_freed(setup, work):
    """the initrd's files no longer take memory"""
    disk = make_disk(setup, work)
    ballast = os.path.join(work, "ballast")
    heavy = os.path.join(work, "heavy")
    with open(ballast, "wb") as f:
        f.write(os.urandom(48 * MIB))
    packed = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], input=b"ballast\n", cwd=work,
                            check=True, stdout=subprocess.PIPE, env=TOOLS)
    with open(heavy, "wb") as f, open(setup.initrd, "rb") as initrd:
        f.write(initrd.read() + packed.stdout)
    free = []
    for initrd in (setup.initrd, heavy):
        with Guest(setup, work, "root=/dev/vda quiet", [disk], initrd=initrd) as guest:
            check_handover(guest.end(), mode="ro")
            free.append(int(guest.facts("free")[0]))
    assert abs(free[0] - free[1]) < 4096, free


def test_9p(setup, work):
    """root=9p:TAG: a directory of the host"""
    tree = make_tree(setup, work)
    with Guest(setup, work, "root=9p:share rw quiet", shares=[("share", tree)]) as guest:
        check_handover(guest.end(), root="share", kind="9p")
    assert os.path.exists(os.path.join(tree, "written"))
    with Guest(setup, work, "root=9p:gone quiet rootwait=1", shares=[("share", tree)]) as guest:
        guest.end().says("microvm: cannot mount gone as 9p: ", "under the tag gone")


def setup_from(args):
    parser = argparse.ArgumentParser(description=__doc__)
    for name, what in (("qemu", "qemu-system-x86_64"), ("kernel", "vmlinux or bzImage"),
                       ("initrd", "the initrd"), ("guest-init", "the built guest-init.c")):
        variable = name.upper().replace("-", "_")
        default = os.environ.get(variable)
        parser.add_argument("--" + name, default=default, required=not default,
                            help=f"{what} (or ${variable})")
    parser.add_argument("--firmware", default=os.environ.get("QEMU_FIRMWARE"),
                        help="directory of qboot.rom, where QEMU does not find it by itself")
    parser.add_argument("--append", default=os.environ.get("APPEND", ""),
                        help="more for each kernel command line")
    parser.add_argument("--timeout", type=int, default=120, help="seconds that a boot may take")
    parser.add_argument("tests", nargs="*", help="names of tests; all when none is given")
    return parser.parse_args(args)


def main():
    setup = setup_from(sys.argv[1:])
    tests = {name[5:]: f for name, f in globals().items() if name.startswith("test_")}
    unknown = set(setup.tests) - set(tests)
    if unknown:
        sys.exit(f"boot.py: no test named {', '.join(sorted(unknown))}; there are {', '.join(tests)}")
    chosen = [tests[name] for name in setup.tests] or list(tests.values())
    failed = 0
    print(f"1..{len(chosen)}")
    for number, test in enumerate(chosen, 1):
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="initrd-boot-") as work:
            try:
                test(setup, work)
                verdict = "ok"
            except Exception:
                failed += 1
                verdict = "not ok"
                print("# " + traceback.format_exc().replace("\n", "\n# "))
        print(f"{verdict} {number} - {test.__name__[5:]}: {test.__doc__} "
              f"({time.monotonic() - start:.1f} s)", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
