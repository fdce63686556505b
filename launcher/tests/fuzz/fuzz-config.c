/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest config, all the way to QEMU's command line. */
#include "fuzz.h"
#include "oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (OracleHost kind = 0; kind < ORACLE_HOSTS; kind++)
        g_strfreev(oracle_run((const char *)data, size, kind));
    return 0;
}
