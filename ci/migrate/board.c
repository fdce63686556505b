/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "board.h"

#include <string.h>

#include "boot.h"
#include "migrate.h"
#include "node.h"

#define FIRST_SLOT 4
#define FIRST_CID 77000
#define NET_ADDRESS "52:54:00:77:00:02"

typedef enum { DEVICE_BLK, DEVICE_NET, DEVICE_SERIAL, DEVICE_RNG, DEVICES } Device;

const char *board_qemu, *board_vmlinux, *board_initrd;

static const char *const device_names[DEVICES] = {"blk", "net", "serial", "rng"};

static void add_device(GPtrArray *argv, const Board *board, Device device, const char *options)
{
    const char *name = device_names[device];

    if (board->pcie) {
        boot_add(argv, "-device", "virtio-%s-pci,addr=%d,id=%s%s%s", name, FIRST_SLOT + device,
                 name, options, device == DEVICE_NET ? ",romfile=" : "");
    } else {
        boot_add(argv, "-device", "virtio-%s-device,bus=virtio-mmio-bus.%d,id=%s%s", name,
                 FIRST_SLOT + device, name, options);
    }
}

static void add_port(GPtrArray *argv, const BoardFiles *files, int side, const char *name,
                     int number)
{
    boot_add(argv, "-chardev", "socket,id=%s,path=%s/%s%d,server=on,wait=off", name, files->dir,
             name, side);
    boot_add(argv, "-device", "virtserialport,bus=serial.0,nr=%d,chardev=%s", number, name);
}

static void add_devices(GPtrArray *argv, const BoardFiles *files, const Board *board, int side)
{
    boot_add(argv, "-drive", "if=none,id=d0,node-name=n0,file=%s,format=%s", files->disk,
             files->disk_format);
    add_device(argv, board, DEVICE_BLK, ",drive=d0");
    boot_add(argv, "-netdev", "tap,id=n0,ifname=%s,script=no,downscript=no", node_tap(side));
    add_device(argv, board, DEVICE_NET, ",netdev=n0,mac=" NET_ADDRESS);
    add_device(argv, board, DEVICE_SERIAL, ",max_ports=4");
    add_port(argv, files, side, "ping", PING_PORT);
    add_port(argv, files, side, "flow", FLOW_PORT);
    boot_add(argv, "-object", "rng-random,id=r0,filename=/dev/urandom");
    if (!board->no_rng) {
        add_device(argv, board, DEVICE_RNG, ",rng=r0");
    }
}

/*
 * QEMU without our patches does not tell Linux the frequency of the TSC, and on a busy host it may
 * not find out. Any will do here: the guest's clock goes wrong, but it goes.
 */
static const char *append_of(const Board *board)
{
    if (board->acpi_off) {
        return " reboot=t";
    }
    return board->machine && !strstr(board->machine, "-10.") ? " tsc_early_khz=2000000 tsc=reliable"
                                                             : "";
}

GPtrArray *board_argv(const Board *board, const BoardFiles *files, int side)
{
    GPtrArray *argv = boot_argv(board->qemu ? board->qemu : board_qemu);
    int memory = board->memory ? board->memory : 256;

    boot_one_thread(argv);
    boot_add(argv, "-M", "%s,acpi=%s,pcie=%s%s", board->machine ? board->machine : "microvm-10.0",
             board->acpi_off ? "off" : "on", board->pcie ? "on" : "off",
             board->memory_file ? ",memory-backend=m0" : "");
    if (board->memory_file) {
        boot_add(argv, "-object", "memory-backend-file,id=m0,size=%dM,mem-path=%s,share=on", memory,
                 board->memory_file);
    }
    /* the same in all versions, whatever they have come to know */
    boot_add(argv, "-cpu", "qemu64,+tsc-deadline,+x2apic");
    boot_add(argv, "-m", "%d", memory);
    boot_add(argv, "-smp", "%d", board->cpus ? board->cpus : 1);
    boot_add(argv, "-bios", "qboot.rom");
    boot_add(argv, "-kernel", "%s", board_vmlinux);
    boot_add(argv, "-initrd", "%s", board_initrd);
    boot_add(argv, "-append", "console=ttyS0 panic=-1%s%s", append_of(board),
             board->vsock ? " -- vsock" : "");
    if (board->legacy) {
        boot_add(argv, "-global", "virtio-mmio.force-legacy=on");
    }
    add_devices(argv, files, board, side);
    if (board->vsock) { /* the host has each side's address once */
        boot_add(argv, "-device", "vhost-vsock-device,guest-cid=%d,bus=virtio-mmio-bus.%d",
                 FIRST_CID + side, FIRST_SLOT + DEVICES);
    }
    if (board->ports) {
        boot_add(argv, "-qtest", "unix:%s/qtest%d,server=on,wait=off", files->dir, side);
        boot_add(argv, "-qtest-log", "/dev/null");
    }
    for (const char *const *more = board->more; more && *more; more++) {
        g_ptr_array_add(argv, g_strdup(*more));
    }
    return argv;
}
