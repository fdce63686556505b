/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "console.h"

#include <fcntl.h>
#include <termios.h>

int console_open(void)
{
    int fd = open("/dev/ttyS0", O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct termios settings;

    tcgetattr(fd, &settings);
    settings.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(fd, TCSANOW, &settings);
    return fd;
}
