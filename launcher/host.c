/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "elf-needs.h"
#include "launcher-paths.h"

G_DEFINE_QUARK(host - error - quark, host_error)

/* Where each HostFile may be: names beside the launcher, then installed paths, best first. */
static const struct {
    const char *what, *option;
    const char *beside[3], *installed[3];
} places[] = {
    [HOST_QEMU] = {"QEMU", "--qemu", {"qemu-system-x86_64"}, {QEMU_PATH}},
    [HOST_KERNEL] = {"guest kernel",
                     "--kernel",
                     {"vmlinux", "bzImage"},
                     {DATA_DIR "/vmlinux", DATA_DIR "/vmlinuz"}},
    [HOST_INITRD] = {"initrd", "--initrd", {"initrd"}, {DATA_DIR "/initrd"}},
    [HOST_VIRTIOFSD] = {"virtiofsd", "--virtiofsd", {NULL}, {"/usr/libexec/virtiofsd"}},
};

/* Whether this kernel has io_uring and its settings (and any seccomp filter) let us use it. */
static gboolean probe_io_uring(void)
{
    struct io_uring_params params = {0};
    int fd = (int)syscall(SYS_io_uring_setup, 1, &params);

    if (fd < 0)
        return FALSE;
    close(fd);
    return TRUE;
}

static gboolean can_open(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return FALSE;
    close(fd);
    return TRUE;
}

/* Looked for where system users are, not asked of a directory service. */
static gboolean has_account(void)
{
    g_autofree char *users = NULL;

    return g_file_get_contents("/etc/passwd", &users, NULL, NULL) &&
           (g_str_has_prefix(users, HOST_ACCOUNT ":") || strstr(users, "\n" HOST_ACCOUNT ":"));
}

Host *host_probe(void)
{
    Host *host = g_new0(Host, 1);
    g_autofree char *exe = g_file_read_link("/proc/self/exe", NULL);

    host->io_uring = probe_io_uring();
    host->vhost_net = can_open("/dev/vhost-net");
    host->root = geteuid() == 0;
    host->account = host->root && has_account();
    host->pages_1g = access("/sys/kernel/mm/hugepages/hugepages-1048576kB", F_OK) == 0;
    host->exe_dir = exe ? g_path_get_dirname(exe) : NULL;
    return host;
}

static gboolean assume_bridge(Host *host, const char *value)
{
    g_auto(GStrv) parts = g_strsplit(value, ":", 3);
    gboolean vlans = parts[0] && parts[1] && parts[2];
    guint64 mtu = 1500;
    NetLink *link;

    if (!parts[0] || !*parts[0] || (vlans && strcmp(parts[2], "vlans") != 0))
        return FALSE;
    if (parts[1] && !g_ascii_string_to_unsigned(parts[1], 10, 1, 65535, &mtu, NULL))
        return FALSE;
    link = g_new(NetLink, 1);
    *link = (NetLink){.mtu = (guint)mtu, .bridge = TRUE, .vlans = vlans};
    g_hash_table_insert(host->bridges, g_strdup(parts[0]), link);
    return TRUE;
}

static gboolean assume_kernel(Host *host, const char *value)
{
    const char *kind = strrchr(value, ':');
    KernelImage *image;

    if (!kind || kind == value || !kind[1])
        return FALSE;
    kind++;
    if (strcmp(kind, "bzimage") == 0)
        image = kernel_image_new(KERNEL_BZIMAGE, "Linux", "6.12.0");
    else if (strcmp(kind, "microvm") == 0)
        image = kernel_image_new(KERNEL_BZIMAGE, "Linux", "6.12.0-microvm");
    else
        image = kernel_image_new(KERNEL_PVH, strcmp(kind, "pvh") == 0 ? "Linux" : kind, NULL);
    g_hash_table_insert(host->kernels, g_strndup(value, (gsize)(kind - 1 - value)), image);
    return TRUE;
}

static gboolean assume_item(Host *host, const char *item)
{
    if (strcmp(item, "none") == 0)
        return TRUE;
    if (strcmp(item, "io_uring") == 0)
        return host->io_uring = TRUE;
    if (strcmp(item, "vhost-net") == 0)
        return host->vhost_net = TRUE;
    if (strcmp(item, "pve-qemu") == 0)
        return host->pve_qemu = TRUE;
    if (strcmp(item, "hugepages-1g") == 0)
        return host->pages_1g = TRUE;
    if (strcmp(item, "root") == 0)
        return host->root = TRUE;
    if (strcmp(item, "account") == 0)
        return host->root = host->account = TRUE;
    if (strcmp(item, "modules") == 0)
        return host->modules = TRUE;
    if (strcmp(item, "vmx") == 0 || strcmp(item, "svm") == 0) {
        host->nested = g_intern_string(item);
        return TRUE;
    }
    if (g_str_has_prefix(item, "bridge="))
        return assume_bridge(host, item + strlen("bridge="));
    if (g_str_has_prefix(item, "kernel="))
        return assume_kernel(host, item + strlen("kernel="));
    return FALSE;
}

Host *host_assume(const char *list, GError **error)
{
    g_autoptr(Host) host = g_new0(Host, 1);
    g_auto(GStrv) items = g_strsplit(*list ? list : ",", ",", -1);

    host->assumed = TRUE;
    host->bridges = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    host->kernels =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)kernel_image_free);
    for (char **item = items; *item; item++) {
        if (!assume_item(host, *item)) {
            g_set_error(error, HOST_ERROR, HOST_ERROR_ASSUME,
                        "--assume: '%s' is none of io_uring, vhost-net, pve-qemu, hugepages-1g, "
                        "vmx, svm, root, account, modules, bridge=NAME[:MTU[:vlans]], "
                        "kernel=PATH:KIND, none",
                        *item);
            return NULL;
        }
    }
    return g_steal_pointer(&host);
}

void host_free(Host *host)
{
    if (!host)
        return;
    g_free(host->exe_dir);
    g_clear_pointer(&host->bridges, g_hash_table_unref);
    g_clear_pointer(&host->kernels, g_hash_table_unref);
    g_free(host);
}

NetLink host_bridge(const Host *host, const char *name)
{
    const NetLink *known;
    NetLink link;

    if (host->assumed) {
        known = g_hash_table_lookup(host->bridges, name);
        return known ? *known : (NetLink){0};
    }
    link = net_link(name);
    return link.bridge || host->proxmox ? link : (NetLink){0};
}

/* Where qemu-server has its network scripts: of version 9, and before. */
static const char *const script_dirs[] = {"/usr/libexec/qemu-server", "/var/lib/qemu-server"};

static int find_scripts(void)
{
    for (int i = 0; i < (int)G_N_ELEMENTS(script_dirs); i++) {
        g_autofree char *path = g_build_filename(script_dirs[i], "pve-bridge", NULL);

        if (access(path, X_OK) == 0)
            return i;
    }
    return -1;
}

gboolean host_is_proxmox(const char *config)
{
    g_autofree char *path = realpath(config, NULL);

    return path && g_str_has_prefix(path, "/etc/pve/") && find_scripts() >= 0;
}

const char *host_proxmox_scripts(const Host *host)
{
    return script_dirs[host->assumed ? 0 : MAX(find_scripts(), 0)];
}

gboolean host_is_pve_qemu(const Host *host, const char *qemu)
{
    /* Backup to Proxmox's backup server is in that library, and in no other QEMU. */
    return host->assumed ? host->pve_qemu : elf_needs(qemu, "libproxmox_backup_qemu.so");
}

const char *host_nested_flag(const Host *host)
{
    g_autofree char *text = NULL;

    if (host->assumed)
        return host->nested;
    if (!g_file_get_contents("/proc/cpuinfo", &text, NULL, NULL))
        return NULL;
    if (g_regex_match_simple("^flags\\s*:.* vmx\\b", text, G_REGEX_MULTILINE, 0))
        return "vmx";
    return g_regex_match_simple("^flags\\s*:.* svm\\b", text, G_REGEX_MULTILINE, 0) ? "svm" : NULL;
}

KernelImage *host_kernel(const Host *host, const char *path, GError **error)
{
    const KernelImage *known;

    if (!host->assumed)
        return kernel_identify(path, error);
    known = g_hash_table_lookup(host->kernels, path);
    return known ? kernel_image_new(known->kind, known->os, known->release)
                 : kernel_image_new(KERNEL_PVH, "Linux", NULL);
}

/* All paths where @file may be, best first. */
static GPtrArray *candidates(const Host *host, HostFile file)
{
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    /* Beside the installed launcher lies the distribution's QEMU, if any. */
    gboolean installed = g_strcmp0(host->exe_dir, BIN_DIR) == 0;

    for (int i = 0; host->exe_dir && !installed && places[file].beside[i]; i++)
        g_ptr_array_add(paths, g_build_filename(host->exe_dir, places[file].beside[i], NULL));
    for (int i = 0; places[file].installed[i]; i++)
        g_ptr_array_add(paths, g_strdup(places[file].installed[i]));
    return paths;
}

char *host_find(const Host *host, HostFile file, const char *option, GError **error)
{
    g_autoptr(GPtrArray) paths = NULL;
    g_autofree char *tried = NULL;

    if (option)
        return g_canonicalize_filename(option, NULL);
    paths = candidates(host, file);
    for (guint i = 0; i < paths->len; i++) {
        if (host->assumed || access(paths->pdata[i], F_OK) == 0)
            return g_strdup(paths->pdata[i]);
    }
    g_ptr_array_add(paths, NULL);
    tried = g_strjoinv(", ", (char **)paths->pdata);
    g_set_error(error, HOST_ERROR, HOST_ERROR_MISSING, "no %s: none of %s exists; name one by %s",
                places[file].what, tried, places[file].option);
    return NULL;
}

static gboolean same_file(const char *a, const char *b)
{
    struct stat x, y;

    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

gboolean host_kernel_is_ours(const Host *host, const char *path, const KernelImage *image)
{
    g_autoptr(GPtrArray) ours = NULL;

    if (kernel_has_our_release(image))
        return TRUE;
    ours = candidates(host, HOST_KERNEL);
    for (guint i = 0; i < ours->len; i++) {
        if (host->assumed ? strcmp(path, ours->pdata[i]) == 0 : same_file(path, ours->pdata[i]))
            return TRUE;
    }
    return FALSE;
}

/* As the XDG specification wants it: absolute, and the user's own, which it is not after "su". */
static gboolean is_own_directory(const char *path)
{
    struct stat st;

    return g_path_is_absolute(path) && stat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
           st.st_uid == geteuid();
}

char *host_runtime_dir(const Host *host, const char *option, const char *user)
{
    const char *xdg = host->assumed ? NULL : g_getenv("XDG_RUNTIME_DIR");

    if (option)
        return g_canonicalize_filename(option, NULL);
    if (host->proxmox)
        return g_strdup(HOST_PROXMOX_RUN);
    if (user && strcmp(user, HOST_ACCOUNT) == 0)
        return g_strdup("/run/microvm");
    if (user)
        return g_strconcat("/run/microvm-", user, NULL);
    if (xdg && is_own_directory(xdg))
        return g_build_filename(xdg, "microvm", NULL);
    return g_strdup("/run/microvm");
}

static gboolean missing(GError **error, const char *what, const char *path, const char *why)
{
    g_set_error(error, HOST_ERROR, HOST_ERROR_MISSING, "%s %s: %s", what, path, why);
    return FALSE;
}

gboolean host_check_kvm(GError **error)
{
    if (can_open("/dev/kvm"))
        return TRUE;
    g_set_error(error, HOST_ERROR, HOST_ERROR_MISSING,
                "KVM is needed, and /dev/kvm cannot be opened: %s; "
                "'kvm: 0' in the config runs the guest without it, slowly",
                g_strerror(errno));
    return FALSE;
}

/* Opens @path by @flags and stats it. Returns FALSE with @error, naming it as @what. */
static gboolean open_and_stat(const char *what, const char *path, int flags, struct stat *st,
                              GError **error)
{
    int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), saved;

    if (fd < 0 || fstat(fd, st) < 0) {
        saved = errno;
        if (fd >= 0)
            close(fd);
        return missing(error, what, path, g_strerror(saved));
    }
    close(fd);
    return TRUE;
}

char *host_modules(const Host *host, const char *kernel)
{
    g_autofree char *dir = g_path_get_dirname(kernel);
    g_autofree char *path = g_build_filename(dir, "modules.img", NULL);

    if (host->assumed ? !host->modules : access(path, F_OK) < 0)
        return NULL;
    return g_steal_pointer(&path);
}

/* Offsets in the header of a qcow2 image, numbers in big-endian (QEMU's docs/interop/qcow2.txt). */
#define QCOW2_BACKING 8
#define QCOW2_INCOMPATIBLE 72
#define QCOW2_HEADER 80
#define QCOW2_DATA_FILE 0x04 /* in the last byte of the incompatible features */

gboolean host_image_is_whole(const Host *host, const char *path, const char *format)
{
    static const guint8 magic[] = {'Q', 'F', 'I', 0xfb, 0, 0, 0}, none[8] = {0};
    guint8 head[QCOW2_HEADER] = {0};
    gssize n;
    int fd;

    if (strcmp(format, "raw") == 0)
        return TRUE;
    if (host->assumed || strcmp(format, "qcow2") != 0)
        return FALSE;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    n = fd < 0 ? -1 : read(fd, head, sizeof(head));
    if (fd >= 0)
        close(fd);
    return n == (gssize)sizeof(head) && memcmp(head, magic, sizeof(magic)) == 0 &&
           memcmp(head + QCOW2_BACKING, none, sizeof(none)) == 0 &&
           (head[7] < 3 || !(head[QCOW2_INCOMPATIBLE + 7] & QCOW2_DATA_FILE));
}

int host_open(const char *what, const char *path, int flags, GError **error)
{
    int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    if (fd < 0 && errno == EINVAL && flags & O_DIRECT) {
        missing(error, what, path, "this file system has no O_DIRECT; write cache=writeback");
    } else if (fd < 0 || fstat(fd, &st) < 0) {
        missing(error, what, path, g_strerror(errno));
    } else if (S_ISDIR(st.st_mode) || S_ISFIFO(st.st_mode)) {
        missing(error, what, path, "a directory or pipe");
    } else {
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

gboolean host_check_file(const char *what, const char *path, GError **error)
{
    struct stat st;

    if (!open_and_stat(what, path, O_RDONLY, &st, error))
        return FALSE;
    return S_ISREG(st.st_mode) || missing(error, what, path, "not a regular file");
}

gboolean host_check_program(const char *what, const char *path, GError **error)
{
    if (!host_check_file(what, path, error))
        return FALSE;
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ||
           missing(error, what, path, g_strerror(errno));
}

gboolean host_check_directory(const char *path, GError **error)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return missing(error, "directory", path, g_strerror(errno));
    return S_ISDIR(st.st_mode) || missing(error, "directory", path, "not a directory");
}

gboolean host_check_disk(const char *path, gboolean device, gboolean readonly, GError **error)
{
    struct stat st;

    /* What it is comes first: open() says less of a directory or a socket. */
    if (stat(path, &st) < 0)
        return missing(error, "disk", path, g_strerror(errno));
    if (S_ISDIR(st.st_mode))
        return missing(error, "disk", path, "a directory");
    if (device && !S_ISBLK(st.st_mode))
        return missing(error, "disk", path, "not a block device");
    if (!device && !S_ISREG(st.st_mode))
        return missing(error, "disk", path, "not a regular file");
    return open_and_stat("disk", path, readonly ? O_RDONLY : O_RDWR, &st, error);
}

/* Whether somebody but @uid and root could put another directory at @dir, or files into it. */
static gboolean check_owner(const char *dir, const struct stat *st, guint uid, GError **error)
{
    struct stat link;

    if (lstat(dir, &link) == 0 && S_ISLNK(link.st_mode) && link.st_uid != geteuid() &&
        link.st_uid != 0)
        return missing(error, "run directory", dir, "a symbolic link of another user's");
    if (st->st_uid != uid && (st->st_uid != 0 || uid != geteuid()))
        return missing(error, "run directory", dir,
                       "it belongs to another user; choose another by --runtime-dir, or remove it "
                       "when no guest runs there");
    if (st->st_mode & 022)
        return missing(error, "run directory", dir, "other users can write in it");
    return TRUE;
}

gboolean host_make_runtime_dir(const char *dir, guint uid, gboolean *made, GError **error)
{
    struct stat st;

    *made = mkdir(dir, 0700) == 0;
    if (!*made && errno != EEXIST)
        return missing(error, "run directory", dir, g_strerror(errno));
    if (*made && uid != geteuid() && lchown(dir, uid, (gid_t)-1) < 0)
        return missing(error, "run directory", dir, g_strerror(errno));
    if (stat(dir, &st) < 0)
        return missing(error, "run directory", dir, g_strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return missing(error, "run directory", dir, "not a directory");
    if (!check_owner(dir, &st, uid, error))
        return FALSE;
    if (access(dir, W_OK | X_OK) < 0)
        return missing(error, "run directory", dir, g_strerror(errno));
    return TRUE;
}

/* The process id that @pidfile holds, or 0. */
static long pid_in_file(const char *pidfile)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents(pidfile, &text, NULL, NULL))
        return 0;
    return (long)g_ascii_strtoll(text, NULL, 10);
}

gboolean host_pidfile_locked(const char *pidfile, long *pid, guint *owner, GError **error)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct stat st;
    int fd = open(pidfile, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    int failed;

    if (fd < 0)
        return errno != ENOENT && missing(error, "pidfile", pidfile, g_strerror(errno));
    /* QEMU's lock is of the process, but this asks without one of ours to lose at close(). */
    failed = fcntl(fd, F_OFD_GETLK, &lock) < 0 || fstat(fd, &st) < 0 ? errno : 0;
    close(fd);
    if (failed)
        return missing(error, "pidfile", pidfile, g_strerror(failed));
    if (lock.l_type == F_UNLCK)
        return FALSE;
    if (owner)
        *owner = st.st_uid;
    *pid = lock.l_pid > 0 ? (long)lock.l_pid : pid_in_file(pidfile);
    return TRUE;
}

gboolean host_check_not_running(const char *id, const char *pidfile, GError **error)
{
    GError *cause = NULL;
    long pid;

    if (host_pidfile_locked(pidfile, &pid, NULL, &cause))
        g_set_error(error, HOST_ERROR, HOST_ERROR_RUNNING,
                    "guest %s runs already, as process %ld (%s is locked)", id, pid, pidfile);
    else if (!cause)
        return TRUE;
    else
        g_propagate_error(error, cause);
    return FALSE;
}
