/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "insn.h"

#include "mark.h"

static gboolean is_prefix(guint8 byte)
{
    switch (byte) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e: /* segments */
    case 0x64:
    case 0x65:
    case 0x66: /* operand and address size */
    case 0x67:
    case 0xf0: /* LOCK, REP */
    case 0xf2:
    case 0xf3:
        return TRUE;
    default:
        /* REX; outside of 64-bit mode these are whole instructions, with nothing after them */
        return byte >= 0x40 && byte <= 0x4f;
    }
}

/* A NOP with a memory operand, which holds the mark: 0f 1f 84 00 and four bytes. */
static Insn decode_nop(const guint8 *op, gsize size)
{
    guint32 value;

    if (size != 8 || op[2] != 0x84 || op[3] != 0x00) {
        return (Insn){.kind = INSN_PLAIN};
    }
    value = op[4] | op[5] << 8 | op[6] << 16 | (guint32)op[7] << 24;
    if (value >> 8 != MARK_MAGIC) {
        return (Insn){.kind = INSN_PLAIN};
    }
    return (Insn){.kind = INSN_MARK, .number = value & 0xff};
}

/* The opcodes that begin with 0f. */
static Insn decode_two(const guint8 *op, gsize size)
{
    switch (op[1]) {
    case 0x01:
        return (Insn){.kind = size == 3 && op[2] == 0xd1 ? INSN_XSETBV : INSN_PLAIN};
    case 0x07:
        return (Insn){.kind = INSN_RETURN};
    case 0x09:
        return (Insn){.kind = INSN_WBINVD};
    case 0x1f:
        return decode_nop(op, size);
    case 0x22:
        return (Insn){.kind = size == 3 && (op[2] >> 3 & 7) == 3 ? INSN_CR3 : INSN_PLAIN};
    case 0x30:
        return (Insn){.kind = INSN_WRMSR};
    case 0x31:
        return (Insn){.kind = INSN_RDTSC};
    case 0x32:
        return (Insn){.kind = INSN_RDMSR};
    case 0xa2:
        return (Insn){.kind = INSN_CPUID};
    default:
        return (Insn){.kind = INSN_PLAIN};
    }
}

Insn insn_decode(const guint8 *bytes, gsize size)
{
    const guint8 *op = bytes;

    while (size > 1 && is_prefix(*op)) {
        op++;
        size--;
    }
    if (size > 1 && *op == 0x0f) {
        return decode_two(op, size);
    }
    switch (*op) {
    case 0xe4:
    case 0xe5:
        return (Insn){.kind = INSN_IN, .number = size > 1 ? op[1] : 0};
    case 0xe6:
    case 0xe7:
        return (Insn){.kind = INSN_OUT, .number = size > 1 ? op[1] : 0};
    case 0x6c:
    case 0x6d:
    case 0xec:
    case 0xed:
        return (Insn){.kind = INSN_IN, .port_in_dx = TRUE};
    case 0x6e:
    case 0x6f:
    case 0xee:
    case 0xef:
        return (Insn){.kind = INSN_OUT, .port_in_dx = TRUE};
    case 0xf4:
        return (Insn){.kind = INSN_HLT};
    case 0xc2:
    case 0xc3:
    case 0xca:
    case 0xcb:
    case 0xcf:
        return (Insn){.kind = INSN_RETURN};
    default:
        return (Insn){.kind = INSN_PLAIN};
    }
}
