/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qmp.h"

#include <string.h>

struct Qmp {
    Channel *channel;
    GQueue events; /* of JsonObject *, oldest first */
};

G_DEFINE_QUARK(qmp - error - quark, qmp_error)

Qmp *qmp_connect(const char *path, gint64 deadline, GError **error)
{
    g_autoptr(Qmp) qmp = g_new0(Qmp, 1);
    g_autoptr(JsonObject) greeting = NULL;
    g_autoptr(JsonNode) answer = NULL;

    g_queue_init(&qmp->events);
    qmp->channel = channel_connect(path, error);
    if (!qmp->channel) {
        return NULL;
    }
    greeting = channel_receive(qmp->channel, deadline, error);
    if (!greeting) {
        return NULL;
    }
    if (!json_object_has_member(greeting, "QMP")) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s: not a QMP monitor", path);
        return NULL;
    }
    answer = qmp_execute(qmp, "qmp_capabilities", NULL, deadline, error);
    return answer ? g_steal_pointer(&qmp) : NULL;
}

void qmp_free(Qmp *qmp)
{
    if (!qmp) {
        return;
    }
    channel_free(qmp->channel);
    g_queue_clear_full(&qmp->events, (GDestroyNotify)json_object_unref);
    g_free(qmp);
}

static void set_command_error(const char *command, JsonObject *answer, GError **error)
{
    JsonObject *details = json_object_get_object_member(answer, "error");

    g_set_error(error, QMP_ERROR, QMP_ERROR_COMMAND, "%s: %s", command,
                json_object_get_string_member_with_default(details, "desc", "no description"));
}

JsonNode *qmp_execute(Qmp *qmp, const char *command, const char *arguments, gint64 deadline,
                      GError **error)
{
    if (!channel_send(qmp->channel, command, arguments, deadline, error)) {
        return NULL;
    }
    for (;;) {
        g_autoptr(JsonObject) answer = channel_receive(qmp->channel, deadline, error);

        if (!answer) {
            return NULL;
        }
        if (json_object_has_member(answer, "return")) {
            return json_node_copy(json_object_get_member(answer, "return"));
        }
        if (json_object_has_member(answer, "error")) {
            set_command_error(command, answer, error);
            return NULL;
        }
        if (json_object_has_member(answer, "event")) {
            g_queue_push_tail(&qmp->events, g_steal_pointer(&answer));
        }
    }
}

JsonNode *qmp_ask(Qmp *qmp, const char *command, const char *arguments, JsonNodeType type,
                  gint64 deadline, GError **error)
{
    g_autoptr(JsonNode) answer = qmp_execute(qmp, command, arguments, deadline, error);

    if (!answer || json_node_get_node_type(answer) == type) {
        return g_steal_pointer(&answer);
    }
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s: the answer is of another type",
                command);
    return NULL;
}

gboolean qmp_run(Qmp *qmp, const char *command, char *arguments, gint64 deadline, GError **error)
{
    g_autofree char *text = arguments;
    g_autoptr(JsonNode) answer = qmp_execute(qmp, command, text, deadline, error);

    return answer != NULL;
}

gboolean qmp_give_fd(Qmp *qmp, const char *name, int fd, gint64 deadline, GError **error)
{
    return channel_pass_fd(qmp->channel, fd, error) &&
           qmp_run(qmp, "getfd", channel_arguments("{'fdname': <%s>}", name), deadline, error);
}

JsonObject *qmp_wait_event(Qmp *qmp, const char *name, gint64 deadline, GError **error)
{
    for (;;) {
        g_autoptr(JsonObject) event = g_queue_pop_head(&qmp->events);

        if (!event) {
            event = channel_receive(qmp->channel, deadline, error);
        }
        if (!event) {
            return NULL;
        }
        if (g_strcmp0(json_object_get_string_member_with_default(event, "event", NULL), name) ==
            0) {
            return g_steal_pointer(&event);
        }
    }
}

gboolean qmp_wait_migration(Qmp *qmp, gint64 deadline, GError **error)
{
    for (;;) {
        g_autoptr(JsonNode) answer =
            qmp_ask(qmp, "query-migrate", NULL, JSON_NODE_OBJECT, deadline, error);
        g_autoptr(JsonObject) event = NULL;
        JsonObject *info = answer ? json_node_get_object(answer) : NULL;
        const char *status;

        if (!info) {
            return FALSE;
        }
        status = json_object_get_string_member_with_default(info, "status", "none");
        if (strcmp(status, "completed") == 0) {
            return TRUE;
        }
        if (strcmp(status, "failed") == 0) {
            g_set_error_literal(error, QMP_ERROR, QMP_ERROR_COMMAND,
                                json_object_get_string_member_with_default(
                                    info, "error-desc", "it was not sent whole"));
            return FALSE;
        }
        event = qmp_wait_event(qmp, "MIGRATION", deadline, error);
        if (!event) {
            return FALSE;
        }
    }
}
