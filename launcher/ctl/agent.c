/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent.h"

struct Agent {
    Channel *channel;
};

G_DEFINE_QUARK(agent - error - quark, agent_error)

/*
 * What an earlier client left in the agent's input or output is cleared by guest-sync-delimited:
 * the answer that has our number is the first of this session.
 */
static gboolean synchronize(Agent *agent, gint64 deadline, GError **error)
{
    gint64 number = g_random_int_range(1, G_MAXINT32);
    g_autofree char *arguments = g_strdup_printf("{\"id\": %" G_GINT64_FORMAT "}", number);

    if (!channel_send(agent->channel, "guest-sync-delimited", arguments, deadline, error)) {
        return FALSE;
    }
    for (;;) {
        g_autoptr(GError) local = NULL;
        g_autoptr(JsonObject) answer = channel_receive(agent->channel, deadline, &local);

        if (answer) {
            if (json_object_get_int_member_with_default(answer, "return", 0) == number) {
                return TRUE;
            }
        } else if (!g_error_matches(local, G_IO_ERROR, G_IO_ERROR_INVALID_DATA)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
    }
}

Agent *agent_connect(const char *path, gint64 deadline, GError **error)
{
    g_autoptr(Agent) agent = g_new0(Agent, 1);

    agent->channel = channel_connect(path, error);
    if (!agent->channel || !synchronize(agent, deadline, error)) {
        return NULL;
    }
    return g_steal_pointer(&agent);
}

void agent_free(Agent *agent)
{
    if (agent) {
        channel_free(agent->channel);
        g_free(agent);
    }
}

JsonNode *agent_execute(Agent *agent, const char *command, const char *arguments, gint64 deadline,
                        GError **error)
{
    g_autoptr(JsonObject) answer = NULL;

    if (!channel_send(agent->channel, command, arguments, deadline, error)) {
        return NULL;
    }
    answer = channel_receive(agent->channel, deadline, error);
    if (!answer) {
        return NULL;
    }
    if (!json_object_has_member(answer, "return")) {
        JsonObject *details = json_object_has_member(answer, "error")
                                  ? json_object_get_object_member(answer, "error")
                                  : answer;

        g_set_error(error, AGENT_ERROR, AGENT_ERROR_COMMAND, "%s: %s", command,
                    json_object_get_string_member_with_default(details, "desc", "no description"));
        return NULL;
    }
    return json_node_copy(json_object_get_member(answer, "return"));
}

static char *decode(JsonObject *status, const char *member)
{
    const char *text = json_object_get_string_member_with_default(status, member, "");
    g_autofree guchar *bytes = NULL;
    gsize size;

    bytes = g_base64_decode(text, &size);
    return g_strndup((char *)bytes, size);
}

static char *exec_arguments(const char *shell_command)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(JsonNode) root = NULL;

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "path");
    json_builder_add_string_value(builder, "/bin/sh");
    json_builder_set_member_name(builder, "arg");
    json_builder_begin_array(builder);
    json_builder_add_string_value(builder, "-c");
    json_builder_add_string_value(builder, shell_command);
    json_builder_end_array(builder);
    json_builder_set_member_name(builder, "capture-output");
    json_builder_add_boolean_value(builder, TRUE);
    json_builder_end_object(builder);
    root = json_builder_get_root(builder);
    return json_to_string(root, FALSE);
}

/* The agent has no event for the end of a program: it can only be asked. */
static JsonNode *wait_exit(Agent *agent, gint64 pid, gint64 deadline, GError **error)
{
    g_autofree char *arguments = g_strdup_printf("{\"pid\": %" G_GINT64_FORMAT "}", pid);
    gulong pause = 1000;

    for (;;) {
        g_autoptr(JsonNode) status =
            agent_execute(agent, "guest-exec-status", arguments, deadline, error);

        if (!status) {
            return NULL;
        }
        if (json_object_get_boolean_member(json_node_get_object(status), "exited")) {
            return g_steal_pointer(&status);
        }
        if (g_get_monotonic_time() > deadline) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
                        "the guest's process %" G_GINT64_FORMAT " did not end in time", pid);
            return NULL;
        }
        g_usleep(pause);
        pause = MIN(pause * 2, 100000);
    }
}

char *agent_shell(Agent *agent, const char *shell_command, gint64 deadline, GError **error)
{
    g_autofree char *arguments = exec_arguments(shell_command);
    g_autoptr(JsonNode) started = agent_execute(agent, "guest-exec", arguments, deadline, error);
    g_autoptr(JsonNode) status = NULL;
    JsonObject *object;
    gint64 code;

    if (!started) {
        return NULL;
    }
    status = wait_exit(agent, json_object_get_int_member(json_node_get_object(started), "pid"),
                       deadline, error);
    if (!status) {
        return NULL;
    }
    object = json_node_get_object(status);
    code = json_object_get_int_member_with_default(object, "exitcode", -1);
    if (code != 0) {
        g_autofree char *err = decode(object, "err-data");

        g_set_error(error, AGENT_ERROR, AGENT_ERROR_EXIT, "in the guest, '%s' ended with %d: %s",
                    shell_command, (int)code, g_strchomp(err));
        return NULL;
    }
    return decode(object, "out-data");
}
