/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run-session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "ctl.h"
#include "frame.h"
#include "output.h"

#define TEXT_MAX 1024 /* of what a guest says that went wrong */
#define PATIENCE 3    /* signals that end programs, from a user who wants an end */

typedef struct {
    const RunSession *session;
    GByteArray *words; /* NULL: all sent */
    gsize words_sent;
    gboolean started;
    int in; /* -1: at its end */
    guint32 credit;
    gboolean in_ended; /* and the guest is to be told */
    guint64 signals;   /* to be passed on, a bit each */
    guint ends;        /* how many of them were of those that end programs */
    gboolean resized;
    guint8 broken[2]; /* streams that nobody reads any more; 0: none */
    int signal_fd;
    gboolean gone; /* the guest takes nothing any more; what it has sent may still be there */
    gboolean ended;
    int status;
    Sink out, err;
    Link link;
} Session;

void run_session_signals(sigset_t *signals)
{
    static const int all[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};

    sigemptyset(signals);
    for (gsize i = 0; i < G_N_ELEMENTS(all); i++) {
        struct sigaction action;

        /* blocked, it would no longer be ignored */
        if (sigaction(all[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN) {
            sigaddset(signals, all[i]);
        }
    }
}

static gboolean fail_guest(GError **error)
{
    return ctl_fail(error, CTL_ERROR_FAILED, "the guest sends what it should not");
}

/* All words, each with a NUL behind it. */
static GByteArray *join_words(char *const *words)
{
    GByteArray *all = g_byte_array_new();

    for (; *words; words++) {
        g_byte_array_append(all, (const guint8 *)*words, (guint)strlen(*words) + 1);
    }
    return all;
}

static void put_size(Session *it)
{
    struct winsize size = {0};
    guint8 data[4];

    ioctl(it->session->in, TIOCGWINSZ, &size);
    frame_put16(data, size.ws_row);
    frame_put16(data + 2, size.ws_col);
    it->resized = !link_put(&it->link, FRAME_SIZE, data, sizeof(data));
}

/* What is there before the command is. */
static void put_terms(Session *it)
{
    const char *term = g_getenv("TERM");
    guint8 readonly = it->session->mount_readonly;

    if (it->session->mount) {
        link_put(&it->link, FRAME_MOUNT, &readonly, 1);
    }
    if (it->session->terminal) {
        link_put(&it->link, FRAME_TERM, term, term ? MIN(strlen(term), 64) : 0);
        put_size(it);
    }
}

static void put_words(Session *it)
{
    gsize n = MIN(it->words->len - it->words_sent, FRAME_DATA_MAX);

    link_put(&it->link, FRAME_WORD, it->words->data + it->words_sent, n);
    it->words_sent += n;
    if (it->words_sent == it->words->len) {
        g_clear_pointer(&it->words, g_byte_array_unref);
    }
}

/* What is small, and keeps its place until there is room. */
static void put_asides(Session *it)
{
    for (guint8 number = 1; it->signals && number < 64; number++) {
        if (it->signals & G_GUINT64_CONSTANT(1) << number &&
            link_put(&it->link, FRAME_SIGNAL, &number, 1)) {
            it->signals &= ~(G_GUINT64_CONSTANT(1) << number);
        }
    }
    if (it->resized && it->session->terminal) {
        put_size(it);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(it->broken); i++) {
        if (it->broken[i] && link_put(&it->link, FRAME_BROKEN, &it->broken[i], 1)) {
            it->broken[i] = 0;
        }
    }
    sink_credit(&it->out, &it->link);
    sink_credit(&it->err, &it->link);
    if (it->in_ended) {
        it->in_ended = !link_put(&it->link, FRAME_INPUT, NULL, 0);
    }
}

/*
 * Until the link takes no more, or there is nothing. Each only when all before has been sent, so
 * that a guest that takes nothing does not fill our memory.
 */
static void feed(Session *it)
{
    do {
        it->gone |= !link_send(&it->link);
        if (it->gone || !link_is_free(&it->link)) {
            return;
        }
        if (it->words) {
            put_words(it);
        } else if (!it->started) {
            it->started = link_put(&it->link, FRAME_START, NULL, 0);
        } else {
            put_asides(it);
        }
    } while (!link_is_free(&it->link));
}

static void read_input(Session *it)
{
    ssize_t n;

    if (!it->started || !link_is_free(&it->link)) {
        return;
    }
    n = link_put_from(&it->link, FRAME_INPUT, it->in, it->credit);
    if (n > 0) {
        it->credit -= (guint32)n;
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        it->in = -1;
        it->in_ended = TRUE;
    }
}

static gboolean read_signal(Session *it, GError **error)
{
    struct signalfd_siginfo info;
    int number;

    if (read(it->signal_fd, &info, sizeof(info)) != sizeof(info)) {
        return TRUE;
    }
    number = (int)info.ssi_signo;
    if (number == SIGWINCH) {
        it->resized = TRUE;
        return TRUE;
    }
    it->signals |= G_GUINT64_CONSTANT(1) << number;
    it->ends += number != SIGUSR1 && number != SIGUSR2;
    if (it->ends < PATIENCE && !it->ended) {
        return TRUE;
    }
    it->status = 128 + number;
    return ctl_fail(error, CTL_ERROR_EXIT, "interrupted");
}

static gboolean take_exit(Session *it, const Frame *frame, GError **error)
{
    if (frame->size != 2 || frame->data[0] > 1 || (frame->data[0] && frame->data[1] > 64)) {
        return fail_guest(error);
    }
    it->ended = TRUE;
    it->status = frame->data[1] + (frame->data[0] ? 128 : 0);
    return TRUE;
}

static gboolean fail_start(const Frame *frame, GError **error)
{
    g_autofree char *text = g_strndup((const char *)frame->data, MIN(frame->size, TEXT_MAX));

    return ctl_fail(error, CTL_ERROR_FAILED, "in the guest: %s", text);
}

static gboolean obey(Session *it, const Frame *frame, GError **error)
{
    switch (frame->kind) {
    case FRAME_OUTPUT:
        return sink_put(&it->out, frame->data, frame->size) || fail_guest(error);
    case FRAME_ERRORS:
        return sink_put(&it->err, frame->data, frame->size) || fail_guest(error);
    case FRAME_CREDIT:
        if (frame->size != 5 || frame->data[0] != FRAME_INPUT ||
            frame_get32(frame->data + 1) > FRAME_WINDOW - it->credit) {
            return fail_guest(error);
        }
        it->credit += frame_get32(frame->data + 1);
        return TRUE;
    case FRAME_EXIT:
        return take_exit(it, frame, error);
    case FRAME_FAILED:
        return fail_start(frame, error);
    default:
        return fail_guest(error);
    }
}

static gboolean receive(Session *it, GError **error)
{
    ssize_t n = link_receive(&it->link);
    Frame frame;

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return TRUE;
    }
    if (n <= 0) {
        return ctl_fail(error, CTL_ERROR_FAILED, "the guest has ended before the command");
    }
    while (!it->ended && (n = link_next(&it->link, &frame)) > 0) {
        if (!obey(it, &frame, error)) {
            return FALSE;
        }
    }
    return n >= 0 || fail_guest(error);
}

static void write_out(Session *it, Sink *sink, gsize n)
{
    if (!sink_write(sink)) {
        it->broken[n] = (guint8)sink->kind;
        sink_break(sink);
    }
}

enum { LINK, SIGNALS, IN, OUT, ERR, N_FDS };

static gboolean wait_for_more(const Session *it, struct pollfd *fds, GError **error)
{
    gboolean idle = link_is_free(&it->link), input = it->started && idle && it->credit > 0;
    gint64 left = it->session->deadline - g_get_monotonic_time();
    int timeout = it->session->deadline ? (int)CLAMP((left + 999) / 1000, 0, G_MAXINT) : -1;

    fds[LINK] =
        (struct pollfd){it->ended ? -1 : it->link.fd, (short)(POLLIN | (idle ? 0 : POLLOUT)), 0};
    fds[SIGNALS] = (struct pollfd){it->signal_fd, POLLIN, 0};
    fds[IN] = (struct pollfd){input && !it->ended ? it->in : -1, POLLIN, 0};
    fds[OUT] = (struct pollfd){it->out.used > 0 ? it->out.fd : -1, POLLOUT, 0};
    fds[ERR] = (struct pollfd){it->err.used > 0 ? it->err.fd : -1, POLLOUT, 0};
    if (it->session->deadline && left <= 0) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "the time is over");
        return FALSE;
    }
    return poll(fds, N_FDS, timeout) >= 0 || errno == EINTR ||
           ctl_fail(error, CTL_ERROR_FAILED, "poll: %s", g_strerror(errno));
}

static gboolean is_done(const Session *it)
{
    return it->ended && it->out.used == 0 && it->err.used == 0;
}

static gboolean serve(Session *it, GError **error)
{
    struct pollfd fds[N_FDS];

    while (!is_done(it)) {
        if (!it->ended) {
            feed(it);
        }
        if (!wait_for_more(it, fds, error) || (fds[SIGNALS].revents && !read_signal(it, error)) ||
            (fds[LINK].revents && !receive(it, error))) {
            return FALSE;
        }
        if (fds[IN].revents) {
            read_input(it);
        }
        write_out(it, &it->out, 0);
        write_out(it, &it->err, 1);
    }
    return TRUE;
}

/*
 * A descriptor for the same pipe or terminal that does not block, without making those of others
 * non-blocking, too. Files stay what they are: another descriptor would begin at their start.
 */
static int open_again(int fd)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    struct stat st;
    int again = -1;

    if (fd < 0 || fstat(fd, &st) < 0) {
        return -1;
    }
    if (S_ISFIFO(st.st_mode) || isatty(fd)) {
        again = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    }
    return again >= 0 ? again : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static gboolean is_socket(int fd)
{
    struct stat st;

    return fd >= 0 && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

static Session *session_new(int fd, const RunSession *session)
{
    Session *it = g_new0(Session, 1);
    sigset_t signals;

    it->session = session;
    it->words = join_words(session->words);
    it->link.fd = fd;
    it->in = session->in;
    it->in_ended = it->in < 0;
    it->credit = FRAME_WINDOW;
    it->out.kind = FRAME_OUTPUT;
    it->out.fd = open_again(session->out);
    it->err.kind = FRAME_ERRORS;
    it->err.fd = open_again(session->err);
    it->out.socket = is_socket(it->out.fd);
    it->err.socket = is_socket(it->err.fd);
    run_session_signals(&signals);
    it->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    return it;
}

static void close_if(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

static void session_free(Session *it)
{
    g_clear_pointer(&it->words, g_byte_array_unref);
    close_if(it->signal_fd);
    g_free(it);
}

/* A terminal that is left raw is of no use to its user. */
static gboolean serve_raw(Session *it, GError **error)
{
    struct termios saved, raw;
    gboolean done;

    if (!it->session->terminal || tcgetattr(it->session->in, &saved) < 0) {
        return serve(it, error);
    }
    raw = saved;
    cfmakeraw(&raw);
    tcsetattr(it->session->in, TCSANOW, &raw);
    done = serve(it, error);
    tcsetattr(it->session->in, TCSADRAIN, &saved);
    return done;
}

gboolean run_session(int fd, const RunSession *session, int *status, GError **error)
{
    Session *it = session_new(fd, session);
    const int out = it->out.fd, err = it->err.fd;
    gboolean done = FALSE;

    if (it->words->len > FRAME_WORDS_MAX - 1) {
        ctl_fail(error, CTL_ERROR_USAGE, "the command is longer than %d bytes", FRAME_WORDS_MAX);
    } else if (it->signal_fd < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
        ctl_fail(error, CTL_ERROR_FAILED, "signals: %s", g_strerror(errno));
    } else {
        put_terms(it);
        done = serve_raw(it, error);
    }
    *status = it->status;
    close_if(out);
    close_if(err);
    session_free(it);
    return done;
}
