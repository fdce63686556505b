/* SPDX-License-Identifier: GPL-2.0-or-later */
/* microvm-ctl agent ID ping | exec PROGRAM [ARGUMENT]… | guest-COMMAND [JSON] */
#include <stdio.h>
#include <string.h>

#include "guests.h"
#include "output.h"

#define EXIT_NOT_RUN 125 /* as env(1) and timeout(1) have it */

static gboolean run_program(Request *request, Agent *agent, gint64 deadline, GError **error)
{
    const char *const *argv = (const char *const *)request->words + 1;
    g_auto(AgentResult) result = {0};

    if (!agent_run(agent, argv, &result, deadline, error)) {
        return FALSE;
    }
    fwrite(result.out, 1, result.out_size, stdout);
    fwrite(result.err, 1, result.err_size, stderr);
    request->status = MIN((guint)result.code, 255); /* all that a status can be */
    return result.code == 0 || ctl_fail(error, CTL_ERROR_EXIT, "exit status %d", result.code);
}

static gboolean run_command(const Request *request, Agent *agent, gint64 deadline, GError **error)
{
    const char *command = request->words[0], *arguments = request->words[1];
    g_autoptr(JsonNode) parsed = NULL, answer = NULL;

    if (arguments &&
        (!(parsed = json_from_string(arguments, NULL)) || !JSON_NODE_HOLDS_OBJECT(parsed))) {
        return ctl_fail(error, CTL_ERROR_USAGE, "agent: '%s' is not a JSON object", arguments);
    }
    answer = agent_execute(agent, command, arguments, deadline, error);
    if (answer) {
        output_node(answer);
    }
    return answer != NULL;
}

static gboolean check_words(const Request *request, GError **error)
{
    const char *command = request->words[0];
    gboolean good = request->n_words == 1;

    if (strcmp(command, "exec") == 0) {
        return request->n_words > 1 || ctl_fail(error, CTL_ERROR_USAGE, "agent exec: no program");
    }
    if (g_str_has_prefix(command, "guest-")) {
        /* it goes into JSON as it is */
        good = request->n_words <= 2 &&
               strspn(command, G_CSET_a_2_z G_CSET_DIGITS "-") == strlen(command);
    } else {
        good = good && strcmp(command, "ping") == 0;
    }
    return good || ctl_fail(error, CTL_ERROR_USAGE,
                            "agent: ping, exec PROGRAM [ARGUMENT]…, or guest-COMMAND [JSON]");
}

static gboolean talk(Request *request, GError **error)
{
    gint64 deadline = channel_deadline(request->timeout);
    g_autoptr(Guest) guest = guest_find(request, error);
    g_autofree char *path = guest ? guest_path(guest, "qga") : NULL;
    g_autoptr(Agent) agent = NULL;

    if (!guest) {
        return FALSE;
    }
    if (!g_file_test(path, G_FILE_TEST_EXISTS)) {
        return ctl_fail(error, CTL_ERROR_FAILED, "guest %s has no agent (agent: 1 in its config)",
                        guest->id);
    }
    agent = agent_connect(path, deadline, error);
    if (!agent) {
        return FALSE;
    }
    if (strcmp(request->words[0], "ping") == 0) {
        return TRUE;
    }
    if (strcmp(request->words[0], "exec") == 0) {
        return run_program(request, agent, deadline, error);
    }
    return run_command(request, agent, deadline, error);
}

gboolean ctl_agent(Request *request, GError **error)
{
    g_autoptr(GError) cause = NULL;

    if (!check_words(request, error)) {
        return FALSE;
    }
    if (talk(request, &cause)) {
        return TRUE;
    }
    /* A program's own status must be told from ours. */
    if (strcmp(request->words[0], "exec") == 0 &&
        !g_error_matches(cause, CTL_ERROR, CTL_ERROR_EXIT)) {
        output_say("%s", cause->message);
        request->status = EXIT_NOT_RUN;
        return ctl_fail(error, CTL_ERROR_EXIT, "not run");
    }
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}
