/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_MARK_H
#define MICROVM_MARK_H

/*
 * How a guest's program tells the plugin where its boot has got to: a NOP with a memory operand
 * that is never accessed, whose address is MARK_MAGIC and the mark's number. It needs no privilege,
 * costs one instruction, and is nothing to KVM.
 */
#define MARK_MAGIC 0x4d564d

#define MARK(number)                                                                     \
    __asm__ volatile(".byte 0x0f, 0x1f, 0x84, 0x00, %c0, 0x4d, 0x56, 0x4d" ::"i"(number) \
                     : "memor"                                                           \
                       "y")

#define MARK_INIT 1  /* the root's init has begun */
#define MARK_READY 2 /* and has done its work */

#endif
