/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "warm-common.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel.h"

const char *ctl, *launcher, *microvm_run, *qemu, *vmlinux, *initrd, *image;
char *dir, *store, *run_dir, *config, *disk;
char *out, *err;
int code;

char *in_dir(const char *name)
{
    return g_build_filename(dir, name, NULL);
}

void run(const char *const *argv)
{
    GError *error = NULL;
    int status;

    g_clear_pointer(&out, g_free);
    g_clear_pointer(&err, g_free);
    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err, &status,
                 &error);
    g_assert_no_error(error);
    g_assert_true(WIFEXITED(status));
    code = WEXITSTATUS(status);
}

/* With the directories that go with the verb: a guest's, or a template's, or both. */
char **ctl_words(const char *const *words)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    gboolean kept = strcmp(words[0], "template") == 0 || strcmp(words[0], "clone") == 0;

    g_strv_builder_add_many(builder, ctl, "--runtime-dir", run_dir, NULL);
    if (kept)
        g_strv_builder_add_many(builder, "--state-dir", store, "--timeout", LIMIT, NULL);
    for (; *words; words++)
        g_strv_builder_add(builder, *words);
    return g_strv_builder_end(builder);
}

void run_ctl(const char *const *words)
{
    g_auto(GStrv) argv = ctl_words(words);

    run((const char *const *)argv);
}

void assert_done(void)
{
    g_assert_cmpstr(err, ==, "");
    g_assert_cmpint(code, ==, 0);
}

static gint64 disk_changed(void)
{
    struct stat st;

    g_assert_cmpint(stat(disk, &st), ==, 0);
    return st.st_mtim.tv_sec * G_GINT64_CONSTANT(1000000000) + st.st_mtim.tv_nsec;
}

/* A template "web", which all tests wake clones from. */
void need_template(void)
{
    static gboolean made;
    gint64 before = disk_changed(), started = g_get_monotonic_time();

    if (made)
        return;
    CTL("template", "make", config, "--name", "web", MAKE_WORDS);
    assert_done();
    made = TRUE;
    g_test_message("made in %.1f s", (double)(g_get_monotonic_time() - started) / 1e6);
    g_assert_cmpint(disk_changed(), ==, before);
}

/* The names in @path, sorted; "" when there are none, or no such directory. */
char *names_in(const char *path)
{
    const char *argv[] = {"ls", "-A", path, NULL};

    run(argv);
    return g_strchomp(g_strdup(out));
}

void assert_empty(const char *path)
{
    g_autofree char *names = names_in(path);

    g_assert_cmpstr(names, ==, "");
}

int free_port(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(bind(fd, (struct sockaddr *)&addr, size), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&addr, &size), ==, 0);
    close(fd);
    return ntohs(addr.sin_port);
}

/* Until there is a file at @path, whose directory may come later too. */
void wait_for(const char *path)
{
    gint64 deadline = channel_deadline(LIMIT_SECONDS);

    while (access(path, F_OK) <
           0) { /* the file is of another process, in directories not there yet */
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_usleep(2000);
    }
}

int count_qemus(void)
{
    run((const char *const[]){"pgrep", "-c", "-f", dir, NULL});
    return (int)g_ascii_strtoll(out, NULL, 10);
}

char *in_guest(int id, const char *line)
{
    g_autofree char *number = g_strdup_printf("%d", id);

    CTL("--timeout", LIMIT, "agent", number, "exec", "sh", "-c", line);
    assert_done();
    return g_strchomp(g_strdup(out));
}

void wake(int id, int n)
{
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();
    g_auto(GStrv) argv = NULL;

    g_strv_builder_add_many(words, "clone", "web", NULL);
    for (int i = 0; i < n; i++) {
        g_autofree char *number = g_strdup_printf("%d", id + i);

        g_strv_builder_add(words, number);
    }
    argv = g_strv_builder_end(words);
    run_ctl((const char *const *)argv);
    assert_done();
    g_test_message("%s", g_strchomp(out));
}

void stop(int id)
{
    g_autofree char *number = g_strdup_printf("%d", id);

    CTL("stop", number);
    assert_done();
}

GPid start_ctl(const char *const *words)
{
    g_auto(GStrv) argv = ctl_words(words);
    GError *error = NULL;
    GPid pid;

    g_spawn_async(NULL, argv, NULL,
                  G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL |
                      G_SPAWN_STDERR_TO_DEV_NULL,
                  NULL, NULL, &pid, &error);
    g_assert_no_error(error);
    return pid;
}

int kill_all(GPid pid)
{
    g_autofree char *parent = g_strdup_printf("%d", pid);
    int status;

    kill(pid, SIGSTOP);
    run((const char *const[]){"pkill", "-KILL", "-P", parent, NULL});
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return status;
}
