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

static char *decode(JsonObject *status, const char *member, gsize *size)
{
    const char *text = json_object_get_string_member_with_default(status, member, "");
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
    g_autoptr(JsonNode) started = agent_execute(agent, "guest-exec", arguments, deadline, error);
    g_autoptr(JsonNode) status = NULL;
    JsonObject *object;
    int signal;

    if (!started) {
        return FALSE;
    }
    status = wait_exit(agent, json_object_get_int_member(json_node_get_object(started), "pid"),
                       deadline, error);
    if (!status) {
        return FALSE;
    }
    object = json_node_get_object(status);
    signal = (int)json_object_get_int_member_with_default(object, "signal", 0);
    result->code = signal ? 128 + signal
                          : (int)json_object_get_int_member_with_default(object, "exitcode", -1);
    result->out = decode(object, "out-data", &result->out_size);
    result->err = decode(object, "err-data", &result->err_size);
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
