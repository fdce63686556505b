/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stdio.h>

#include "identity.h"

static char failure[512];

void fail(const char *format, ...)
{
    va_list ap;

    if (*failure) {
        return;
    }
    va_start(ap, format);
    vsnprintf(failure, sizeof(failure), format, ap);
    va_end(ap);
    for (char *p = failure; *p; p++) {
        *p = *p == '\n' ? ' ' : *p;
    }
}

const char *failed(void)
{
    return *failure ? failure : NULL;
}

void forgive(void)
{
    *failure = '\0';
}
