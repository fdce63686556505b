/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_AGENT_H
#define MICROVM_AGENT_H

#include "channel.h"

/* A client of qemu-guest-agent (qga/qapi-schema.json in QEMU's tree). */

typedef struct Agent Agent;

#define AGENT_ERROR (agent_error_quark())
GQuark agent_error_quark(void);

typedef enum {
    AGENT_ERROR_COMMAND, /* the agent answered with an error; the message is its own */
    AGENT_ERROR_EXIT,    /* a program run in the guest did not exit with 0 */
} AgentErrorCode;

/*
 * Connects to the agent's socket at @path and waits until the agent in the guest answers. Free with
 * agent_free().
 */
Agent *agent_connect(const char *path, gint64 deadline, GError **error);
void agent_free(Agent *agent);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Agent, agent_free)

/* Runs an agent command; as qmp_execute(). */
JsonNode *agent_execute(Agent *agent, const char *command, const char *arguments, gint64 deadline,
                        GError **error);

/* How a program in the guest ended, and what it wrote; a NUL follows ->out and ->err. */
typedef struct {
    int code; /* its exit status; 128 and the signal's number if that ended it */
    char *out, *err;
    gsize out_size, err_size;
} AgentResult;

void agent_result_clear(AgentResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AgentResult, agent_result_clear)

/*
 * Runs program @argv[0] in the guest with the arguments behind it and waits for its end. Fills
 * @result, whatever the exit status; FALSE if it could not be run, or did not end by @deadline.
 */
gboolean agent_run(Agent *agent, const char *const *argv, AgentResult *result, gint64 deadline,
                   GError **error);

/*
 * Runs @shell_command by the guest's /bin/sh and waits for its end. Returns its standard output, to
 * be freed; NULL if it could not be run, or did not exit with 0 (@error has its standard error).
 */
char *agent_shell(Agent *agent, const char *shell_command, gint64 deadline, GError **error);

#endif
