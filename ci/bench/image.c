/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <unistd.h>

#define GRUB "/usr/lib/grub/i386-pc"
#define SECTOR 512
#define PARTITION (1024 * 1024) /* where the first one begins, and GRUB's room ends */
#define BOOT_CODE 440           /* of a master boot record; then the signature and the partitions */
#define ROOT_KIB "16384"
#define GRUB_KIB "49152"

/* Those that mke2fs 1.46 gives an ext4: newer ones have some that GRUB 2.06 cannot read. */
#define FEATURES                                                                      \
    "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg," \
    "sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum"
#define UUID "11111111-2222-3333-4444-555555555555"

gboolean image_run(const char *const *argv, GError **error)
{
    g_autofree char *err = NULL;
    g_autofree char *path = g_strconcat(g_getenv("PATH"), ":/usr/sbin:/sbin", NULL);
    g_auto(GStrv) env = g_get_environ();
    int status;

    env = g_environ_setenv(env, "PATH", path, TRUE);
    /* the file system is the same each time */
    env = g_environ_setenv(env, "E2FSPROGS_FAKE_TIME", "1767225600", TRUE);
    if (!g_spawn_sync(NULL, (char **)argv, env,
                      G_SPAWN_SEARCH_PATH_FROM_ENVP | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL,
                      &err, &status, error)) {
        return FALSE;
    }
    if (!g_spawn_check_wait_status(status, error)) {
        g_prefix_error(error, "%s: %s", argv[0], err);
        return FALSE;
    }
    return TRUE;
}

/* Removes the directory @tree; what went wrong shows when it is made again. */
static void remove_tree(const char *tree)
{
    image_run((const char *const[]){"rm", "-rf", "--", tree, NULL}, NULL);
}

static gboolean copy_into(const char *tree, const char *mode, const char *from, const char *to,
                          GError **error)
{
    g_autofree char *path = g_build_filename(tree, to, NULL);

    return image_run((const char *const[]){"install", "-D", "-m", mode, from, path, NULL}, error);
}

/* Makes the directory @tree with what every root has. */
static gboolean make_tree(const char *tree, const char *init, GError **error)
{
    static const char *const dirs[] = {"dev", "proc", "run", "sys"};

    for (gsize i = 0; i < G_N_ELEMENTS(dirs); i++) {
        g_autofree char *path = g_build_filename(tree, dirs[i], NULL);

        if (g_mkdir_with_parents(path, 0755) < 0) {
            g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", path,
                        g_strerror(errno));
            return FALSE;
        }
    }
    return copy_into(tree, "755", init, "sbin/init", error);
}

/* Writes @tree to the file @path, from its byte @offset on. */
static gboolean make_ext4(const char *path, const char *tree, guint offset, const char *kib,
                          GError **error)
{
    g_autofree char *extended = g_strdup_printf(
        "hash_seed=" UUID ",lazy_itable_init=0,lazy_journal_init=0,offset=%u", offset);

    return image_run((const char *const[]){"mke2fs", "-q", "-F", "-t", "ext4", "-O", FEATURES, "-U",
                                           UUID, "-E", extended, "-d", tree, path, kib, NULL},
                     error);
}

gboolean image_root(const char *path, const char *init, GError **error)
{
    g_autofree char *tree = g_strconcat(path, ".tree", NULL);
    gboolean made = make_tree(tree, init, error) && make_ext4(path, tree, 0, ROOT_KIB, error);

    remove_tree(tree);
    return made;
}

/* Writes the first @most bytes of the file @from to @fd at @offset. */
static gboolean put(int fd, const char *from, gsize most, off_t offset, GError **error)
{
    g_autofree char *data = NULL;
    gsize size;

    if (!g_file_get_contents(from, &data, &size, error)) {
        return FALSE;
    }
    size = MIN(size, most);
    if (pwrite(fd, data, size, offset) != (ssize_t)size) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", from,
                    g_strerror(errno));
        return FALSE;
    }
    return TRUE;
}

/*
 * Makes the partition table and puts GRUB before the first partition: its boot.img loads the sector
 * that follows, and there core.img, whose first sector loads the rest of it.
 */
static gboolean put_grub(const char *path, const char *core, GError **error)
{
    /* one Linux partition from sector 2048 to the end; the rest of a table is zero */
    const guint32 first = GUINT32_TO_LE(PARTITION / SECTOR);
    const guint32 sectors = GUINT32_TO_LE((guint32)(g_ascii_strtoull(GRUB_KIB, NULL, 10) * 2));
    guint8 table[SECTOR - BOOT_CODE] = {0};
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    gboolean done;

    if (fd < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", path,
                    g_strerror(errno));
        return FALSE;
    }
    table[6] = 0x80; /* active */
    memcpy(table + 7, "\xfe\xff\xff", 3);
    table[10] = 0x83;
    memcpy(table + 11, "\xfe\xff\xff", 3);
    memcpy(table + 14, &first, sizeof(first));
    memcpy(table + 18, &sectors, sizeof(sectors));
    memcpy(table + sizeof(table) - 2, "\x55\xaa", 2);
    done = put(fd, GRUB "/boot.img", BOOT_CODE, 0, error) &&
           put(fd, core, PARTITION - SECTOR, SECTOR, error);
    if (done && pwrite(fd, table, sizeof(table), BOOT_CODE) != (ssize_t)sizeof(table)) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", path,
                    g_strerror(errno));
        done = FALSE;
    }
    close(fd);
    return done;
}

static gboolean make_core(const char *core, const char *command_line, GError **error)
{
    g_autofree char *config = g_strconcat(core, ".cfg", NULL);
    g_autofree char *text = g_strdup_printf("set root=(hd0,msdos1)\n"
                                            "linux /boot/vmlinuz %s\n"
                                            "initrd /boot/initrd\n"
                                            "boot\n",
                                            command_line);

    return g_file_set_contents(config, text, -1, error) &&
           image_run((const char *const[]){"grub-mkimage", "-O", "i386-pc", "-d", GRUB, "-p",
                                           "/boot/grub", "-c", config, "-o", core, "biosdisk",
                                           "part_msdos", "ext2", "linux", "boot", NULL},
                     error);
}

gboolean image_grub(const char *path, const char *init, const char *kernel, const char *initrd,
                    const char *command_line, GError **error)
{
    g_autofree char *tree = g_strconcat(path, ".tree", NULL);
    g_autofree char *core = g_strconcat(path, ".core", NULL);
    gboolean made = make_tree(tree, init, error) &&
                    copy_into(tree, "644", kernel, "boot/vmlinuz", error) &&
                    copy_into(tree, "644", initrd, "boot/initrd", error) &&
                    make_ext4(path, tree, PARTITION, GRUB_KIB, error) &&
                    make_core(core, command_line, error) && put_grub(path, core, error);

    remove_tree(tree);
    return made;
}
