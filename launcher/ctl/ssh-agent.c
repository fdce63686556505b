/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The user's ssh agent for one guest, by vsock, for as long as this runs. Others that connect,
 * guests or the host's own, are turned away.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "guests.h"
#include "output.h"
#include "relay.h"

/* The guest's vsock address, which the launcher has chosen. */
static gboolean find_cid(const Request *request, const Guest *guest, gint64 *cid, GError **error)
{
    gint64 deadline = channel_deadline(request->timeout);
    g_autoptr(Qmp) qmp = guest_qmp(guest, deadline, error);
    g_autoptr(GError) cause = NULL;
    g_autoptr(JsonNode) answer = NULL;

    if (!qmp) {
        return FALSE;
    }
    answer = qmp_execute(qmp, "qom-get",
                         "{\"path\": \"/machine/peripheral/vsock0\", \"property\": \"guest-cid\"}",
                         deadline, &cause);
    if (!answer) {
        return ctl_fail(error, CTL_ERROR_FAILED, "guest %s has no vsock (microvm-launch --vsock)",
                        guest->id);
    }
    *cid = json_node_get_int(answer);
    return TRUE;
}

/* A port of the host's that is this guest's own: its address. */
static int listen_for(gint64 cid, GError **error)
{
    struct sockaddr_vm address = {
        .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = (unsigned)cid};
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
        listen(fd, 8) == 0) {
        return fd;
    }
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "vsock port %u: %s",
                address.svm_port, g_strerror(errno));
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

static gboolean is_guest(int fd, gpointer data)
{
    const gint64 *cid = data;
    struct sockaddr_vm peer;
    socklen_t size = sizeof(peer);

    return getpeername(fd, (struct sockaddr *)&peer, &size) == 0 && peer.svm_family == AF_VSOCK &&
           peer.svm_cid == *cid;
}

static gboolean serve(const Guest *guest, gint64 cid, const char *agent, GError **error)
{
    int pidfd = guest_pidfd(guest, error), listener = -1;
    gboolean done = FALSE;

    if (pidfd >= 0) {
        listener = listen_for(cid, error);
    }
    if (listener >= 0) {
        output_say("guest %s may use your ssh agent until ^C; there:", guest->id);
        printf("socat UNIX-LISTEN:$HOME/agent.sock,fork,mode=600 VSOCK-CONNECT:2:%" G_GINT64_FORMAT
               " &\nexport SSH_AUTH_SOCK=$HOME/agent.sock\n",
               cid);
        fflush(stdout);
        done = relay_serve(listener, pidfd, is_guest, &cid, agent, error);
        close(listener);
    }
    if (pidfd >= 0) {
        close(pidfd);
    }
    return done;
}

gboolean ctl_ssh_agent(Request *request, GError **error)
{
    const char *agent = g_getenv("SSH_AUTH_SOCK");
    g_autoptr(Guest) guest = guest_find(request, error);
    gint64 cid = 0;

    if (!guest) {
        return FALSE;
    }
    if (!agent || !*agent) {
        return ctl_fail(error, CTL_ERROR_FAILED, "you have no ssh agent (SSH_AUTH_SOCK is empty)");
    }
    return find_cid(request, guest, &cid, error) && serve(guest, cid, agent, error);
}
