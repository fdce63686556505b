/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_INSN_H
#define MICROVM_INSN_H

#include <glib.h>

/*
 * What an x86 instruction is to one who counts what a boot costs, told from its bytes (Intel's
 * Software Developer's Manual, volume 2, opcode maps).
 */

typedef enum {
    INSN_PLAIN,
    INSN_IN,
    INSN_OUT,
    INSN_RDMSR,
    INSN_WRMSR,
    INSN_CPUID,
    INSN_HLT,
    INSN_CR3, /* a move to CR3: another page table */
    INSN_RDTSC,
    INSN_WBINVD,
    INSN_XSETBV,
    INSN_RETURN, /* RET, IRET, SYSRET */
    INSN_MARK,   /* see mark.h */
} InsnKind;

typedef struct {
    InsnKind kind;
    gboolean port_in_dx; /* IN and OUT: the port is in DX, not in @number */
    unsigned number;     /* of the port, or of the mark */
} Insn;

/* Decodes the instruction of @size bytes at @bytes. */
Insn insn_decode(const guint8 *bytes, gsize size);

#endif
