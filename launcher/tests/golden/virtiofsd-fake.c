/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stands in for virtiofsd: tells whoever connects how it was started and what it has open, and when
 * the connection ends, writes into the pipe "ended" of its directory.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int say(int fd, int argc, char **argv)
{
    char text[4096];
    size_t at = 0;

    for (int i = 1; i < argc && at < sizeof(text); i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s ", argv[i]);
    for (int i = 3; i < 64 && at < sizeof(text); i++) {
        if (i != fd && fcntl(i, F_GETFD) >= 0)
            at += (size_t)snprintf(text + at, sizeof(text) - at, "open=%d ", i);
    }
    return write(fd, text, strlen(text)) > 0;
}

int main(int argc, char **argv)
{
    const char *dir = "", *option = "";
    char path[512], byte;
    int fd, end;

    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--shared-dir=", 13) == 0)
            dir = argv[i] + 13;
        if (strncmp(argv[i], "--fd=", 5) == 0)
            option = argv[i] + 5;
    }
    fd = accept(atoi(option), NULL, NULL);
    close(atoi(option));
    if (fd < 0 || !say(fd, argc, argv))
        return 1;
    while (read(fd, &byte, 1) > 0)
        continue;
    snprintf(path, sizeof(path), "%s/ended", dir);
    end = open(path, O_WRONLY | O_CLOEXEC);
    return end >= 0 && write(end, "x", 1) == 1 ? 0 : 1;
}
