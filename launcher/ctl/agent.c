/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent.h"

struct Agent {
    Channel *channel;
};

G_DEFINE_QUARK(agent - error - quark, agent_error)

/* A guest answers what it likes: a member of another type is as good as none. */
static JsonNode *get_value(JsonObject *object, const char *member, GType type)
{
    JsonNode *node = json_object_get_member(object, member);

    return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type ? node
                                                                                         : NULL;
}

static gint64 get_int(JsonObject *object, const char *member, gint64 none)
{
    JsonNode *node = get_value(object, member, G_TYPE_INT64);

    return node ? json_node_get_int(node) : none;
}

static const char *get_string(JsonObject *object, const char *member, const char *none)
{
    JsonNode *node = get_value(object, member, G_TYPE_STRING);

    return node ? json_node_get_string(node) : none;
}

static JsonObject *get_object(JsonObject *object, const char *member)
{
    JsonNode *node = json_object_get_member(object, member);

    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

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
            if (get_int(answer, "return", 0) == number) {
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
        JsonObject *details = get_object(answer, "error");

        g_set_error(error, AGENT_ERROR, AGENT_ERROR_COMMAND, "%s: %s", command,
                    get_string(details ? details : answer, "desc", "no description"));
        return NULL;
    }
    return json_node_copy(json_object_get_member(answer, "return"));
}

/* The same for what an object with @member must answer. */
static JsonObject *ask(Agent *agent, const char *command, const char *arguments, const char *member,
                       GType type, gint64 deadline, GError **error)
{
    g_autoptr(JsonNode) answer = agent_execute(agent, command, arguments, deadline, error);

    if (!answer) {
        return NULL;
    }
    if (JSON_NODE_HOLDS_OBJECT(answer) && get_value(json_node_get_object(answer), member, type)) {
        return json_node_dup_object(answer);
    }
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s: the guest's answer has no '%s'",
                command, member);
    return NULL;
}

/* The agent has no event for the end of a program: it can only be asked. */
static JsonObject *wait_exit(Agent *agent, gint64 pid, gint64 deadline, GError **error)
{
    g_autofree char *arguments = g_strdup_printf("{\"pid\": %" G_GINT64_FORMAT "}", pid);
    gulong pause = 1000;

    for (;;) {
        g_autoptr(JsonObject) status =
            ask(agent, "guest-exec-status", arguments, "exited", G_TYPE_BOOLEAN, deadline, error);

        if (!status) {
            return NULL;
        }
        if (json_object_get_boolean_member(status, "exited")) {
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

static char *decode(JsonObject *status, const char *member, gsize *size)
{
    const char *text = get_string(status, member, "");
    char *bytes = (char *)g_base64_decode(text, size);

    bytes = g_realloc(bytes, *size + 1);
    bytes[*size] = '\0';
    return bytes;
}

gboolean agent_run(Agent *agent, const char *const *argv, AgentResult *result, gint64 deadline,
                   GError **error)
{
    g_autofree char *arguments = channel_arguments(
        "{'path': <%s>, 'arg': <%^as>, 'capture-output': <true>}", argv[0], argv + 1);
    g_autoptr(JsonObject) started =
        ask(agent, "guest-exec", arguments, "pid", G_TYPE_INT64, deadline, error);
    g_autoptr(JsonObject) status =
        started ? wait_exit(agent, get_int(started, "pid", 0), deadline, error) : NULL;
    int signal;

    if (!status) {
        return FALSE;
    }
    signal = (int)get_int(status, "signal", 0);
    result->code = signal ? 128 + signal : (int)get_int(status, "exitcode", -1);
    result->out = decode(status, "out-data", &result->out_size);
    result->err = decode(status, "err-data", &result->err_size);
    return TRUE;
}

void agent_result_clear(AgentResult *result)
{
    g_clear_pointer(&result->out, g_free);
    g_clear_pointer(&result->err, g_free);
}

char *agent_shell(Agent *agent, const char *shell_command, gint64 deadline, GError **error)
{
    const char *argv[] = {"/bin/sh", "-c", shell_command, NULL};
    g_auto(AgentResult) result = {0};

    if (!agent_run(agent, argv, &result, deadline, error)) {
        return NULL;
    }
    if (result.code != 0) {
        g_set_error(error, AGENT_ERROR, AGENT_ERROR_EXIT, "in the guest, '%s' ended with %d: %s",
                    shell_command, result.code, g_strchomp(result.err));
        return NULL;
    }
    return g_steal_pointer(&result.out);
}
