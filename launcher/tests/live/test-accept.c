/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every accepted golden pair is given to the real QEMU, stopped before its first instruction, and
 * its monitor is asked whether all is there that the command line names. What a test machine does
 * not have is put in its place first, see adapt(): KVM, the volumes, taps, huge pages; and what
 * only Proxmox's QEMU has is left out.
 *
 *   test-accept LAUNCHER CONFIG-DIR
 *
 * The environment names what is used:
 *   MICROVM_QEMU, MICROVM_VMLINUX, MICROVM_INITRD
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qmp.h"

#define LIMIT 60 /* seconds for a guest, on a slow, busy host */
#define MONITOR_FD 3

static const char *launcher, *configs, *qemu, *vmlinux, *initrd;
static char *dir, *raw, *qcow2, *monitor;
static gboolean versions; /* QEMU has the board in versions */

/* The words of the launcher's command line for pair @name. */
static GPtrArray *launcher_words(const char *name)
{
    static const char *const common[] = {"--print0", "--assume",
                                         "io_uring,vhost-net,bridge=vmbr0,bridge=vmbr1:9000,"
                                         "bridge=vmbr2:1500:vlans",
                                         "--storage-cfg", "storage.cfg"};
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *file = g_strdup_printf("%s/%s.opts", configs, name), *text = NULL;
    g_auto(GStrv) options = NULL;
    guint behind;

    g_ptr_array_add(words, g_strdup(launcher));
    for (gsize i = 0; i < G_N_ELEMENTS(common); i++)
        g_ptr_array_add(words, g_strdup(common[i]));
    if (!g_ascii_isdigit(name[0])) {
        g_ptr_array_add(words, g_strdup("--id"));
        g_ptr_array_add(words, g_strdup("100"));
    }
    g_file_get_contents(file, &text, NULL, NULL);
    options = g_strsplit(text ? g_strchomp(text) : "", "\n", -1);
    for (behind = 0; options[behind] && (options[behind][0] != '-' || options[behind][1] == '-') &&
                     strcmp(options[behind], "--") != 0;
         behind++) {
        if (*options[behind])
            g_ptr_array_add(words, g_strdup(options[behind]));
    }
    g_ptr_array_add(words, g_strdup("--runtime-dir"));
    g_ptr_array_add(words, g_strdup(dir));
    g_ptr_array_add(words, g_strconcat(name, ".conf", NULL));
    for (; options[behind]; behind++)
        g_ptr_array_add(words, g_strdup(options[behind]));
    g_ptr_array_add(words, NULL);
    return words;
}

/* What the launcher says when it is run with @words, to the last NUL. */
static GBytes *launcher_says(const GPtrArray *words)
{
    g_autoptr(GSubprocessLauncher) starter = g_subprocess_launcher_new(
        G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE);
    g_autoptr(GSubprocess) process = NULL;
    GBytes *out = NULL;
    GError *error = NULL;

    g_subprocess_launcher_set_cwd(starter, configs);
    process = g_subprocess_launcher_spawnv(starter, (const char *const *)words->pdata, &error);
    g_assert_no_error(error);
    g_subprocess_communicate(process, NULL, NULL, &out, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(g_subprocess_get_successful(process));
    return out;
}

/* What the launcher would execute. */
static GPtrArray *print_words(const char *name)
{
    g_autoptr(GPtrArray) words = launcher_words(name);
    g_autoptr(GBytes) out = launcher_says(words);
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
    gsize size;
    const char *at = g_bytes_get_data(out, &size), *end = at + size;

    for (; at < end; at += strlen(at) + 1)
        g_ptr_array_add(argv, g_strdup(at));
    return argv;
}

/* The lines "key: value" of pair @name's config, as the launcher reads them. */
static GStrv dump_lines(const char *name)
{
    g_autofree char *conf = g_strconcat(name, ".conf", NULL), *text = NULL;
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    g_autoptr(GBytes) out = NULL;
    gsize size;
    const char *data;

    g_ptr_array_add(words, (char *)launcher);
    g_ptr_array_add(words, (char *)"--dump");
    g_ptr_array_add(words, conf);
    g_ptr_array_add(words, NULL);
    out = launcher_says(words);
    data = g_bytes_get_data(out, &size);
    text = g_strndup(data, size);
    return g_strsplit(text, "\n", -1);
}

static char *replace(const char *text, const char *pattern, const char *with)
{
    g_autoptr(GRegex) regex = g_regex_new(pattern, 0, 0, NULL);
    char *result = g_regex_replace(regex, text, -1, 0, with, 0, NULL);

    g_assert_nonnull(result);
    return result;
}

/* What an option's value becomes on a machine that has nothing; patterns of GRegex. */
static const struct {
    const char *option, *pattern, *with;
} stand_ins[] = {
    {"-accel", "^kvm(,device=.*)?$", "tcg"},
    /* TCG lacks a feature of nearly every model. */
    {"-cpu", ",enforce|,host-phys-bits=true", ""},
    {"-cpu", "^host", "max"},
    {"-bios", "^/.*", "qboot.rom"},
    {"-blockdev", "\"host_device\"", "\"file\""},
    {"-netdev", "^tap,(id=net\\d+).*", "user,\\1"},
    {"-chardev", "^serial,(id=serial\\d),.*", "null,\\1"},
    {"-chardev", "^(socket,id=qmp),path=.*", "\\1,fd=3,server=on,wait=off"},
    {"-object", "^(memory-.*),hugetlb=on,hugetlbsize=\\d+M", "\\1"},
    {"-object", ",prealloc=(on|yes)", ""},
    {"-object", "/dev/(hwrng|fdset/\\d+)", "/dev/urandom"},
    {"-machine", "\\+pve\\d+", ""},
    {"-incoming", "^unix:.*", "defer"},
    {"-fsdev", "path=[^,]*", "path=/"},
};

/* Options that are left out with their values, by a pattern of the value. */
static const struct {
    const char *option, *pattern;
} left_out[] = {
    {"-id", ""},
    {"-add-fd", ""},
    {"-loadstate", ""},
    {"-device", "^vhost-(vsock|user-fs)-device,"},
    {"-chardev", "^socket,id=virtiofs"},
};

static gboolean is_left_out(const char *option, const char *value)
{
    for (gsize i = 0; value && i < G_N_ELEMENTS(left_out); i++) {
        if (strcmp(option, left_out[i].option) == 0 &&
            g_regex_match_simple(left_out[i].pattern, value, 0, 0))
            return TRUE;
    }
    return FALSE;
}

/* A new image for the drive of @value, as QEMU locks those that it writes to. */
static char *make_image(const char *value)
{
    static guint n;
    char *path = g_strdup_printf("%s/disk%u", dir, n++);
    g_autofree char *data = NULL;
    gsize len;
    gboolean done = g_file_get_contents(strstr(value, "\"driver\":\"qcow2\"") ? qcow2 : raw, &data,
                                        &len, NULL) &&
                    g_file_set_contents(path, data, (gssize)len, NULL);

    g_assert_true(done);
    return path;
}

static char *adapt_value(const char *option, const char *value)
{
    char *text = g_strdup(value);

    for (gsize i = 0; i < G_N_ELEMENTS(stand_ins); i++) {
        if (strcmp(option, stand_ins[i].option) == 0) {
            g_autofree char *old = text;

            text = replace(old, stand_ins[i].pattern, stand_ins[i].with);
        }
    }
    if (strcmp(option, "-blockdev") == 0) {
        g_autofree char *old = text, *path = make_image(value);
        g_autofree char *image = g_strdup_printf("\"filename\":\"%s\"", path);

        text = replace(old, "\"filename\":\"([^\"\\\\]|\\\\.)*\"", image);
    } else if (strcmp(option, "-object") == 0) {
        g_autofree char *old = text, *path = g_strdup_printf("mem-path=%s/memory", dir);

        text = replace(old, "mem-path=[^,]*", path);
    } else if (strcmp(option, "-machine") == 0 && !versions) {
        g_autofree char *old = text;

        text = replace(old, "^microvm-[0-9.]+", "microvm");
    } else if (strcmp(option, "-kernel") == 0 || strcmp(option, "-initrd") == 0) {
        g_free(text);
        text = g_strdup(strcmp(option, "-kernel") == 0 ? vmlinux : initrd);
    }
    return text;
}

/* @argv as it is for a machine without KVM, volumes, taps, huge pages, and for upstream's QEMU. */
static GPtrArray *adapt(const GPtrArray *argv)
{
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
    gboolean stopped = FALSE;

    g_ptr_array_add(words, g_strdup(qemu));
    for (guint i = 1; i < argv->len; i++) {
        const char *word = argv->pdata[i], *next = i + 1 < argv->len ? argv->pdata[i + 1] : NULL;

        stopped |= strcmp(word, "-S") == 0;
        if (strcmp(word, "-daemonize") == 0)
            continue;
        if (is_left_out(word, next)) {
            i++;
            continue;
        }
        g_ptr_array_add(words, g_strdup(word));
        if (*word == '-' && next && *next != '-') {
            g_ptr_array_add(words, adapt_value(word, next));
            i++;
        }
    }
    if (!stopped)
        g_ptr_array_add(words, g_strdup("-S"));
    g_ptr_array_add(words, NULL);
    return words;
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    g_unlink(path);
    g_assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
                  listen(fd, 1) == 0);
    return fd;
}

/* QEMU, which does not outlive us, with its monitor's socket; what it says goes to @log. */
static pid_t start(const GPtrArray *argv, int log)
{
    int listener = listen_at(monitor);
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(log, STDOUT_FILENO);
        dup2(log, STDERR_FILENO);
        if (listener == MONITOR_FD)
            fcntl(listener, F_SETFD, 0);
        else
            dup2(listener, MONITOR_FD);
        execv(argv->pdata[0], (char **)argv->pdata);
        _exit(127);
    }
    g_assert_cmpint(pid, >, 0);
    close(listener);
    return pid;
}

static JsonNode *ask(Qmp *qmp, const char *command, const char *arguments)
{
    GError *error = NULL;
    JsonNode *answer = qmp_execute(qmp, command, arguments, channel_deadline(LIMIT), &error);

    if (error)
        g_error("%s %s: %s", command, arguments ? arguments : "", error->message);
    return answer;
}

/* The strings under @member in the array of objects that @command answers with. */
static GHashTable *names(Qmp *qmp, const char *command, const char *arguments, const char *member)
{
    g_autoptr(JsonNode) answer = ask(qmp, command, arguments);
    JsonArray *array = json_node_get_array(answer);
    GHashTable *set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < json_array_get_length(array); i++) {
        JsonObject *object = json_array_get_object_element(array, i);

        if (json_object_has_member(object, member))
            g_hash_table_add(set, g_strdup(json_object_get_string_member(object, member)));
    }
    return set;
}

/* What follows "id=" in a value; ids have no commas. */
static char *id_of(const char *value)
{
    const char *json = strstr(value, "\"id\":\""), *at = strstr(value, ",id=");

    if (*value == '{')
        return json ? g_strndup(json + 6, strcspn(json + 6, "\"")) : NULL;
    return at ? g_strndup(at + 4, strcspn(at + 4, ",")) : NULL;
}

static void assert_has(GHashTable *set, const char *name, const char *what)
{
    if (!g_hash_table_contains(set, name))
        g_error("QEMU has no %s '%s'", what, name);
}

static void check_nodes(Qmp *qmp, const char *value)
{
    g_autoptr(GHashTable) nodes =
        names(qmp, "query-named-block-nodes", "{\"flat\":true}", "node-name");
    const char *at = value;
    guint n = 0;

    for (; (at = strstr(at, "\"node-name\":\"")); n++) {
        g_autofree char *name = NULL;

        at += strlen("\"node-name\":\"");
        name = g_strndup(at, strcspn(at, "\""));
        assert_has(nodes, name, "block node");
    }
    g_assert_cmpuint(n, ==, strstr(value, "\"throttle\"") ? 3 : 1);
}

static void check_netdev(Qmp *qmp, const char *id)
{
    g_autofree char *arguments = g_strdup_printf("{\"name\":\"%s\",\"up\":true}", id);
    g_autoptr(JsonNode) answer = ask(qmp, "set_link", arguments);

    g_assert_nonnull(answer);
}

/* Returns how many things the command line names. */
static guint check(Qmp *qmp, const GPtrArray *argv)
{
    g_autoptr(GHashTable) devices =
        names(qmp, "qom-list", "{\"path\":\"/machine/peripheral\"}", "name");
    g_autoptr(GHashTable) objects = names(qmp, "qom-list", "{\"path\":\"/objects\"}", "name");
    g_autoptr(GHashTable) chardevs = names(qmp, "query-chardev", NULL, "label");
    g_autoptr(GHashTable) drives = names(qmp, "query-block", NULL, "qdev");
    guint n = 0;

    for (guint i = 1; i + 2 < argv->len; i++) {
        const char *option = argv->pdata[i], *value = argv->pdata[i + 1];
        g_autofree char *id = id_of(value);

        if (strcmp(option, "-blockdev") == 0)
            check_nodes(qmp, value);
        else if (!id)
            continue;
        else if (strcmp(option, "-device") == 0)
            assert_has(devices, id, "device");
        else if (strcmp(option, "-object") == 0)
            assert_has(objects, id, "object");
        else if (strcmp(option, "-chardev") == 0)
            assert_has(chardevs, id, "character device");
        else if (strcmp(option, "-netdev") == 0)
            check_netdev(qmp, id);
        else
            continue;
        if (strcmp(option, "-device") == 0 && g_str_has_prefix(value, "virtio-blk-device"))
            assert_has(drives, id, "drive at device");
        n++;
    }
    return n;
}

/* Proxmox finds devices by the keys of the config: a disk, a NIC, the balloon. */
static void check_config_keys(Qmp *qmp, const char *name)
{
    g_autoptr(GHashTable) devices =
        names(qmp, "qom-list", "{\"path\":\"/machine/peripheral\"}", "name");
    g_autoptr(GHashTable) nodes =
        names(qmp, "query-named-block-nodes", "{\"flat\":true}", "node-name");
    g_auto(GStrv) lines = dump_lines(name);
    gboolean balloon = TRUE;

    for (char **line = lines; *line; line++) {
        g_autofree char *key = g_strndup(*line, strcspn(*line, ":"));
        g_autofree char *node = g_strconcat("drive-", key, NULL);
        gboolean disk = g_regex_match_simple("^(scsi|virtio)\\d+$|^ide2$", key, 0, 0) &&
                        !g_str_has_prefix(*line + strlen(key), ": none");

        balloon &= strcmp(*line, "balloon: 0") != 0;
        if (disk || g_regex_match_simple("^net\\d+$", key, 0, 0))
            assert_has(devices, key, "device of the key");
        if (disk)
            assert_has(nodes, node, "drive of the key");
    }
    if (balloon)
        assert_has(devices, "balloon0", "device");
}

static void fail_with_log(const char *path, const char *message)
{
    g_autofree char *text = NULL;

    g_file_get_contents(path, &text, NULL, NULL);
    g_error("%s: %s", message, text ? text : "");
}

static void test_pair(gconstpointer data)
{
    g_autoptr(GPtrArray) printed = print_words(data), argv = adapt(printed);
    g_autofree char *path = g_build_filename(dir, "log", NULL);
    int log = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), status;
    g_autoptr(GError) error = NULL;
    pid_t pid = start(argv, log);
    g_autoptr(Qmp) qmp = qmp_connect(monitor, channel_deadline(LIMIT), &error);

    close(log);
    if (!qmp)
        fail_with_log(path, error->message);
    g_test_message("%u things are there", check(qmp, argv));
    check_config_keys(qmp, data);
    json_node_unref(ask(qmp, "quit", NULL));
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    if (status != 0)
        fail_with_log(path, "QEMU did not end well");
}

static void run(const char *const *argv)
{
    g_autofree char *err = NULL;
    GError *error = NULL;
    int status;

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL,
                 NULL, NULL, &err, &status, &error);
    g_assert_no_error(error);
    if (!g_spawn_check_wait_status(status, NULL))
        g_error("%s: %s", argv[0], err);
}

static void set_up(void)
{
    g_autofree char *qemu_dir = NULL, *target = g_file_read_link(qemu, NULL), *tool = NULL;
    g_autofree char *help = NULL;
    const char *list[] = {qemu, "-M", "help", NULL};

    qemu_dir = g_path_get_dirname(target ? target : qemu);
    tool = g_build_filename(qemu_dir, "qemu-img", NULL);
    dir = g_dir_make_tmp("accept-XXXXXX", NULL);
    raw = g_build_filename(dir, "disk.raw", NULL);
    qcow2 = g_build_filename(dir, "disk.qcow2", NULL);
    monitor = g_build_filename(dir, "monitor", NULL);
    run((const char *const[]){tool, "create", "-f", "raw", raw, "1M", NULL});
    run((const char *const[]){tool, "create", "-f", "qcow2", qcow2, "1M", NULL});
    g_assert_true(g_spawn_sync(NULL, (char **)list, NULL, 0, NULL, NULL, &help, NULL, NULL, NULL));
    versions = strstr(help, "microvm-") != NULL;
}

static void tear_down(void)
{
    g_autoptr(GDir) files = g_dir_open(dir, 0, NULL);
    const char *name;

    while (files && (name = g_dir_read_name(files))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);

        g_unlink(path);
    }
    g_assert_cmpint(g_rmdir(dir), ==, 0);
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/*
 * Disks of other kinds than files and devices cannot be had here, and one pair has words in args
 * that show how they are split, and mean nothing to QEMU. Others are not for QEMU at all.
 */
static gboolean can_be_tried(const char *name)
{
    static const char *const words_only[] = {"args-quotes", NULL};
    g_autofree char *file = g_strdup_printf("%s/%s.argv", configs, name), *text = NULL;

    return !g_strv_contains(words_only, name) && g_file_get_contents(file, &text, NULL, NULL) &&
           !strstr(text, "\"rbd\"") && !strstr(text, "\"vmdk\"") &&
           !g_str_has_prefix(text, "/usr/bin/microvm-ctl ");
}

int main(int argc, char **argv)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) files = NULL;
    const char *file;
    int result;

    g_test_init(&argc, &argv, NULL);
    qemu = g_getenv("MICROVM_QEMU");
    vmlinux = g_getenv("MICROVM_VMLINUX");
    initrd = g_getenv("MICROVM_INITRD");
    g_assert_true(argc == 3 && qemu && vmlinux && initrd);
    launcher = g_canonicalize_filename(argv[1], NULL);
    configs = argv[2];
    files = g_dir_open(configs, 0, NULL);
    while ((file = g_dir_read_name(files))) {
        g_autofree char *name = g_strndup(file, strlen(file) - strlen(".argv"));

        if (g_str_has_suffix(file, ".argv") && can_be_tried(name))
            g_ptr_array_add(list, g_steal_pointer(&name));
    }
    g_ptr_array_sort(list, by_name);
    g_assert_cmpuint(list->len, >, 60);
    set_up();
    for (guint i = 0; i < list->len; i++) {
        g_autofree char *path = g_strconcat("/accept/", list->pdata[i], NULL);

        g_test_add_data_func(path, list->pdata[i], test_pair);
    }
    result = g_test_run();
    tear_down();
    return result;
}
