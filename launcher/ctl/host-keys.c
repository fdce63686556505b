/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host-keys.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "output.h"
#include "warm.h"

#define KEY_SECONDS 10 /* it should be there already: the guest can make one itself */

typedef struct {
    char *type, *path;
    GPid process; /* 0: it has ended */
} Key;

struct HostKeys {
    GPtrArray *made; /* of Key * */
    GPid owner;
};

/* Whether it has ended, and well, by the deadline; it is ended then. */
static gboolean ended_well(Key *key, gint64 deadline)
{
    int status = 0, pidfd = (int)syscall(SYS_pidfd_open, key->process, 0);
    pid_t ended;

    if (pidfd < 0 || !pidfd_wait(pidfd, deadline)) {
        kill(key->process, SIGKILL);
    }
    if (pidfd >= 0) {
        close(pidfd);
    }
    while ((ended = waitpid(key->process, &status, 0)) < 0 && errno == EINTR) {
    }
    key->process = 0;
    return ended > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void key_free(Key *key)
{
    g_free(key->type);
    g_free(key->path);
    g_free(key);
}

static void begin(HostKeys *keys, const char *dir, const char *type, const char *comment)
{
    g_autofree char *name = g_strconcat("ssh-", type, NULL);
    g_autofree char *path = g_build_filename(dir, name, NULL);
    const char *argv[] = {"ssh-keygen", "-q",    "-t", type, "-N", "",
                          "-C",         comment, "-f", path, NULL};
    Key *key = g_new0(Key, 1);

    if (!g_spawn_async(NULL, (char **)argv, NULL,
                       G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD |
                           G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL,
                       warm_end_with_parent, NULL, &key->process, NULL)) {
        g_free(key);
        return;
    }
    key->type = g_strdup(type);
    key->path = g_steal_pointer(&path);
    g_ptr_array_add(keys->made, key);
}

HostKeys *host_keys_begin(const char *dir, const GPtrArray *types, const char *comment)
{
    HostKeys *keys = g_new0(HostKeys, 1);

    keys->owner = getpid();
    keys->made = g_ptr_array_new_with_free_func((GDestroyNotify)key_free);
    for (guint i = 0; i < types->len; i++) {
        begin(keys, dir, types->pdata[i], comment);
    }
    return keys;
}

static gboolean add_file(GString *text, const char *path)
{
    char *data;
    gsize size;

    if (!g_file_get_contents(path, &data, &size, NULL)) {
        return FALSE;
    }
    g_string_append_c(text, ' ');
    output_hex(text, data, size);
    explicit_bzero(data, size);
    g_free(data);
    return TRUE;
}

void host_keys_add(HostKeys *keys, GString *text, gint64 deadline)
{
    for (guint i = 0; i < keys->made->len; i++) {
        Key *key = keys->made->pdata[i];
        g_autofree char *public = g_strconcat(key->path, ".pub", NULL);
        gsize before = text->len;

        g_string_append_printf(text, "key %s", key->type);
        if (ended_well(key, MIN(deadline, channel_deadline(KEY_SECONDS))) &&
            add_file(text, key->path) && add_file(text, public)) {
            g_string_append_c(text, '\n');
        } else {
            explicit_bzero(text->str + before, text->len - before);
            g_string_truncate(text, before);
        }
        unlink(key->path);
        unlink(public);
    }
}

void host_keys_free(HostKeys *keys)
{
    for (guint i = 0; keys->owner == getpid() && i < keys->made->len; i++) {
        Key *key = keys->made->pdata[i];

        if (key->process > 0) {
            kill(key->process, SIGKILL);
            ended_well(key, G_MAXINT64);
        }
    }
    g_ptr_array_unref(keys->made);
    g_free(keys);
}
