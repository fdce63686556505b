/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* What init reads from the kernel's command line. Strings point into the text that was parsed. */
struct cmdline {
    const char *root;       /* NULL when there is no root= */
    const char *rootfstype; /* NULL: tell it by the superblock */
    const char *rootflags;  /* NULL: none */
    const char *init;       /* NULL: the kernel's own list */
    bool rw;                /* last of ro and rw; the kernel's default is ro */
    int wait_ms;            /* how long to wait for the root; -1: for ever */
    unsigned delay_ms;      /* rootdelay= */
    bool overlay;           /* microvm.overlay=tmpfs */
    bool marks;             /* microvm.marks */
    bool any_modules;       /* loadpin.enforce=0 */
    bool has_panic;         /* a panic= was given */
    int panic;       /* its value: < 0 reboot now, 0 stay, > 0 reboot after as many seconds */
    const char *bad; /* first option whose value made no sense and was left out, or NULL */
};

enum root_kind {
    ROOT_NONE,
    ROOT_DEVICE, /* value: path below /dev */
    ROOT_DEVNO,  /* major and minor */
    ROOT_LABEL,
    ROOT_UUID,
    ROOT_PARTUUID,
    ROOT_PARTLABEL,
    ROOT_VIRTIOFS, /* value: tag */
    ROOT_9P,       /* value: tag */
};

struct root_spec {
    enum root_kind kind;
    char value[256];
    unsigned major, minor;
};

/* How long a root may take to appear when the command line does not say. */
#define ROOT_WAIT_DEFAULT_MS 5000

/*
 * Parses TEXT, the content of /proc/cmdline, in place: words are split where the kernel splits them
 * (double quotes keep blanks), and what follows " -- " belongs to the root's init. Later options
 * win.
 */
void cmdline_parse(struct cmdline *out, char *text);

/*
 * Reads the value of root= (with rootfstype=, either may be NULL) into OUT. /dev/disk/by-label,
 * by-uuid, by-partuuid and by-partlabel mean what udev would make of them. False when it is none of
 * the known forms or too long; OUT->kind is then ROOT_NONE.
 */
bool cmdline_root(struct root_spec *out, const char *root, const char *rootfstype);
