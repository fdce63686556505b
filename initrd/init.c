/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The initrd's only program: finds the root that the kernel's command line names, mounts it and
 * hands over to its init. See README.md for what it understands.
 */
#include "cmdline.h"
#include "disk.h"
#include "handover.h"
#include "modules.h"
#include "rootfs.h"
#include "say.h"
#include "uevent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* The root that was found: a path below /dev and what is on it. */
struct found {
    char source[300];
    struct fs_info fs;
};

static void pause_ms(unsigned ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    while (nanosleep(&t, &t) && errno == EINTR) {
    }
}

/* A failed boot ends as the kernel's own panic= says; without one the guest is powered off. */
static _Noreturn void give_up(const struct cmdline *cmd)
{
    if (!cmd->has_panic) {
        say("powering off (panic=0 would stay here, panic=SECONDS reboot)");
    } else if (cmd->panic == 0) {
        say("staying here, as panic=0 asks");
    } else if (cmd->panic > 0) {
        say("rebooting in %d s, as panic= asks", cmd->panic);
    }
    say_flush();
    if (cmd->has_panic && cmd->panic > 0) {
        struct timespec t = {.tv_sec = cmd->panic};
        nanosleep(&t, NULL);
    }
    if (!cmd->has_panic) {
        reboot(RB_POWER_OFF);
    } else if (cmd->panic) {
        reboot(RB_AUTOBOOT);
    }
    for (;;) {
        pause();
    }
}

/* Reads a small file as a string. False when it is not there, or fills BUF to the brim. */
static bool read_text(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    ssize_t got = 1;

    buf[0] = '\0';
    if (fd < 0) {
        return false;
    }
    while (got > 0 && n < size - 1) {
        got = read(fd, buf + n, size - 1 - n);
        n += got > 0 ? (size_t)got : 0;
    }
    close(fd);
    buf[n] = '\0';
    return n > 0 && n < size - 1;
}

static int count_entries(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *entry;
    int n = 0;

    if (!d) {
        return 0;
    }
    while ((entry = readdir(d))) {
        n += entry->d_name[0] != '.';
    }
    closedir(d);
    return n;
}

/* What there is, for someone who has nothing but this console. */
static void say_disks(void)
{
    struct disk_list disks;
    struct utsname kernel;
    char line[700];

    disks_scan(&disks, "/sys/class/block", "/dev");
    if (disks.n) {
        say("the disks found are:");
    } else {
        int virtio = count_entries("/sys/bus/virtio/devices");
        uname(&kernel);
        say("there is no disk at all; kernel %s found %d virtio device%s", kernel.release, virtio,
            virtio == 1 ? "" : "s");
    }
    for (size_t i = 0; i < disks.n; i++) {
        disk_describe(line, sizeof(line), &disks.at[i]);
        say("  %s", line);
    }
    disks_free(&disks);
}

/* Whether the root is there now. */
static bool look_for_root(struct found *out, const struct root_spec *spec)
{
    struct disk_list disks;
    struct stat st;
    size_t matches;

    if (spec->kind == ROOT_DEVICE) {
        snprintf(out->source, sizeof(out->source), "%s", spec->value);
        return !stat(out->source, &st) && S_ISBLK(st.st_mode);
    }
    disks_scan(&disks, "/sys/class/block", "/dev");
    const struct disk *disk = disks_find(&disks, spec, &matches);
    if (disk) {
        snprintf(out->source, sizeof(out->source), "/dev/%s", disk->name);
        if (matches > 1) {
            say("%zu disks answer to the name given in root=; taking the first, %s", matches,
                out->source);
        }
    }
    disks_free(&disks);
    return disk != NULL;
}

/* Looks again at each event of the block subsystem until DEADLINE. */
static bool wait_for_root(struct found *out, const struct root_spec *spec, int events,
                          int64_t deadline)
{
    while (!look_for_root(out, spec)) {
        if (!uevent_wait(events, "block", deadline)) {
            return false;
        }
    }
    return true;
}

/* sda for a vda that is not there, and the other way round: the disk changed its bus. */
static bool take_other_name(struct found *out, const struct root_spec *spec)
{
    struct root_spec other = {.kind = ROOT_DEVICE};
    char name[sizeof(other.value) - 5];

    if (spec->kind != ROOT_DEVICE ||
        !disk_other_name(name, sizeof(name), spec->value + strlen("/dev/"))) {
        return false;
    }
    snprintf(other.value, sizeof(other.value), "/dev/%s", name);
    if (!look_for_root(out, &other)) {
        return false;
    }
    say("%s is not there: taking %s instead; root=%s saves the wait", spec->value, out->source,
        out->source);
    return true;
}

/* Finds the disk that SPEC names, or says what there is instead. */
static bool find_root(struct found *out, const struct cmdline *cmd, const struct root_spec *spec)
{
    int64_t start = now_ms();
    int wait = cmd->wait_ms;
    int first = wait >= 0 && wait < ROOT_WAIT_DEFAULT_MS ? wait : ROOT_WAIT_DEFAULT_MS;

    if (look_for_root(out, spec)) {
        return true;
    }
    int events = uevent_open();
    if (events < 0) {
        say("cannot hear of new disks: %s", strerror(errno));
        return take_other_name(out, spec);
    }
    bool ok = wait_for_root(out, spec, events, start + first) || take_other_name(out, spec);
    if (!ok && wait != first) {
        say("root=%s is not there yet: waiting, as rootwait asks", cmd->root);
        say_disks();
        ok = wait_for_root(out, spec, events, wait < 0 ? -1 : start + wait);
    }
    close(events);
    return ok;
}

static void probe(struct found *root)
{
    int fd = open(root->source, O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        fs_probe(&root->fs, fd);
        close(fd);
    }
}

static bool mount_disk(const struct cmdline *cmd, const struct root_spec *spec)
{
    struct found root = {0};
    char types[4096], known[4096];

    if (!find_root(&root, cmd, spec)) {
        say("cannot find the root: root=%s did not appear in %d s", cmd->root, cmd->wait_ms / 1000);
        say_disks();
        return false;
    }
    mark("found %s", root.source);
    probe(&root);
    read_text("/proc/filesystems", known, sizeof(known));
    mount_types(types, sizeof(types), cmd->rootfstype, &root.fs, known);
    if (root.fs.type && !root.fs.mountable && !cmd->rootfstype) {
        say("cannot mount the root: %s holds %s, not a file system", root.source, root.fs.type);
    } else if (rootfs_mount(cmd, root.source, types, root.fs.type || cmd->rootfstype)) {
        return true;
    } else if (!root.fs.type) {
        say("cannot mount the root: %s holds no known file system", root.source);
    }
    say_disks();
    return false;
}

/* A directory that the host shares: there once the transport's driver is bound. */
static bool mount_share(const struct cmdline *cmd, const struct root_spec *spec)
{
    const char *type = spec->kind == ROOT_9P ? "9p" : "virtiofs";
    int64_t deadline = cmd->wait_ms < 0 ? -1 : now_ms() + cmd->wait_ms;
    bool ok = rootfs_mount(cmd, spec->value, type, false);

    if (ok) {
        return true;
    }
    int events = uevent_open();
    while (events >= 0 && !(ok = rootfs_mount(cmd, spec->value, type, false)) &&
           uevent_wait(events, "virtio", deadline)) {
    }
    if (events >= 0) {
        close(events);
    }
    if (!ok && !rootfs_mount(cmd, spec->value, type, true)) {
        say("cannot mount the root: the host shares nothing that fits as %s under the tag %s", type,
            spec->value);
        return false;
    }
    return true;
}

static bool mount_root(const struct cmdline *cmd)
{
    struct root_spec spec;

    if (cmd->bad) {
        say("the value of %s= on the kernel's command line makes no sense: left out", cmd->bad);
    }
    if (cmd->delay_ms) {
        pause_ms(cmd->delay_ms);
    }
    if (!cmdline_root(&spec, cmd->root, cmd->rootfstype)) {
        say(cmd->root ? "root=%s is not a root that this initrd knows"
                      : "there is no root= on the kernel's command line%s",
            cmd->root ? cmd->root : "");
        say("known are /dev/NAME, LABEL=, UUID=, PARTUUID=, PARTLABEL=, MAJOR:MINOR, virtiofs:TAG "
            "and 9p:TAG");
        say_disks();
        return false;
    }
    if (spec.kind == ROOT_VIRTIOFS || spec.kind == ROOT_9P) {
        return mount_share(cmd, &spec);
    }
    return mount_disk(cmd, &spec);
}

static bool mount_kernel_files(void)
{
    return !mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755") &&
           !mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) &&
           !mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

int main(int argc, char **argv)
{
    static char text[8192];
    struct cmdline cmd = {0};
    (void)argc;

    if (getpid() != 1) {
        fputs("init: to be run by the kernel as process 1\n", stderr);
        return 1;
    }
    bool ready = mount_kernel_files();
    int err = errno;
    say_open();
    if (!ready || !read_text("/proc/cmdline", text, sizeof(text))) {
        say("cannot mount /dev, /proc and /sys: %s", strerror(err));
        give_up(&cmd);
    }
    cmdline_parse(&cmd, text);
    if (cmd.marks) {
        say_marks();
    }
    mark("start");
    if (mount_root(&cmd)) {
        modules_hand_over(ROOT_DIR, !cmd.any_modules);
        handover(cmd.init, argv);
    }
    give_up(&cmd);
}
