/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmdline.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Cuts the next word off *TEXT; its value goes to *VALUE (NULL without '='). NULL at the end. */
static char *next_option(char **text, char **value)
{
    char *p = *text, *key, *equals = NULL;
    bool quoted = false;

    while (isspace((unsigned char)*p)) {
        p++;
    }
    if (!*p) {
        return NULL;
    }
    if (*p == '"') {
        quoted = true;
        p++;
    }
    key = p;
    bool whole = quoted;
    for (; *p && (quoted || !isspace((unsigned char)*p)); p++) {
        if (*p == '=' && !equals) {
            equals = p;
        }
        if (*p == '"') {
            quoted = !quoted;
        }
    }
    char *end = p;
    *text = *p ? p + 1 : p;
    *end = '\0';
    *value = NULL;
    if (whole && end > key && end[-1] == '"') {
        *--end = '\0';
    }
    if (equals && equals < end) {
        *equals = '\0';
        *value = equals + 1;
        if (**value == '"') {
            (*value)++;
            if (end > *value && end[-1] == '"') {
                end[-1] = '\0';
            }
        }
    }
    return key;
}

static bool parse_int(const char *text, long min, long max, long *out)
{
    char *end;

    if (!text || !*text || isspace((unsigned char)*text)) {
        return false;
    }
    errno = 0;
    long n = strtol(text, &end, 10);
    if (errno || *end || n < min || n > max) {
        return false;
    }
    *out = n;
    return true;
}

/* An option with a value that init knows. False: the value makes no sense. */
static bool take_value(struct cmdline *out, const char *key, const char *value)
{
    long n;

    if (!strcmp(key, "root")) {
        out->root = value;
    } else if (!strcmp(key, "rootfstype")) {
        out->rootfstype = value;
    } else if (!strcmp(key, "rootflags")) {
        out->rootflags = value;
    } else if (!strcmp(key, "init")) {
        out->init = value;
    } else if (!strcmp(key, "rootwait")) {
        if (!parse_int(value, 0, INT_MAX / 1000, &n)) {
            return false;
        }
        out->wait_ms = n * 1000;
    } else if (!strcmp(key, "rootdelay")) {
        if (!parse_int(value, 0, INT_MAX / 1000, &n)) {
            return false;
        }
        out->delay_ms = n * 1000;
    } else if (!strcmp(key, "panic")) {
        if (!parse_int(value, INT_MIN, INT_MAX, &n)) {
            return false;
        }
        out->has_panic = true;
        out->panic = n;
    } else if (!strcmp(key, "microvm.overlay")) {
        out->overlay = !strcmp(value, "tmpfs");
        return out->overlay;
    } else if (!strcmp(key, "loadpin.enforce")) {
        out->any_modules = !strcmp(value, "0");
    }
    return true;
}

static void take_word(struct cmdline *out, const char *key)
{
    if (!strcmp(key, "ro")) {
        out->rw = false;
    } else if (!strcmp(key, "rw")) {
        out->rw = true;
    } else if (!strcmp(key, "rootwait")) {
        out->wait_ms = -1;
    } else if (!strcmp(key, "microvm.marks")) {
        out->marks = true;
    }
}

void cmdline_parse(struct cmdline *out, char *text)
{
    char *key, *value;

    *out = (struct cmdline){.wait_ms = ROOT_WAIT_DEFAULT_MS};
    while ((key = next_option(&text, &value))) {
        if (!value && !strcmp(key, "--")) {
            break;
        }
        if (!value) {
            take_word(out, key);
        } else if (!take_value(out, key, value) && !out->bad) {
            out->bad = key;
        }
    }
}

/* udev writes what is awkward in a file name as \xNN. */
static void decode_udev(char *s)
{
    char *to = s;

    while (*s) {
        if (s[0] == '\\' && s[1] == 'x' && isxdigit((unsigned char)s[2]) &&
            isxdigit((unsigned char)s[3])) {
            char hex[3] = {s[2], s[3], '\0'};
            *to++ = (char)strtoul(hex, NULL, 16);
            s += 4;
        } else {
            *to++ = *s++;
        }
    }
    *to = '\0';
}

/* MAJOR:MINOR, or the kernel's hexadecimal form: 8 bits of minor, 12 of major, the rest of minor.
 */
static bool parse_devno(struct root_spec *out, const char *text)
{
    const char *colon = strchr(text, ':');
    char *end;

    if (!isxdigit((unsigned char)*text)) {
        return false;
    }
    if (!colon) {
        unsigned long n = strtoul(text, &end, 16);
        out->major = (n >> 8) & 0xfff;
        out->minor = (n & 0xff) | ((n >> 12) & 0xfff00);
        return !*end && n <= UINT_MAX;
    }
    unsigned long major = strtoul(text, &end, 10);
    if (end != colon || major > 0xfff || !isdigit((unsigned char)colon[1])) {
        return false;
    }
    unsigned long minor = strtoul(colon + 1, &end, 10);
    out->major = major;
    out->minor = minor;
    return !*end && minor <= 0xfffff;
}

/* LABEL="a b", as in fstab: the kernel leaves quotes inside a value alone. */
static void strip_quotes(char *s)
{
    size_t n = strlen(s);

    if (n >= 2 && s[0] == '"' && s[n - 1] == '"') {
        memmove(s, s + 1, n - 2);
        s[n - 2] = '\0';
    }
}

static bool is_type(const char *rootfstype, const char *type)
{
    return rootfstype && !strcmp(rootfstype, type);
}

bool cmdline_root(struct root_spec *out, const char *root, const char *rootfstype)
{
    static const struct {
        const char *prefix;
        enum root_kind kind;
        bool encoded;
    } forms[] = {
        {"LABEL=", ROOT_LABEL, false},
        {"UUID=", ROOT_UUID, false},
        {"PARTUUID=", ROOT_PARTUUID, false},
        {"PARTLABEL=", ROOT_PARTLABEL, false},
        {"/dev/disk/by-label/", ROOT_LABEL, true},
        {"/dev/disk/by-uuid/", ROOT_UUID, true},
        {"/dev/disk/by-partuuid/", ROOT_PARTUUID, true},
        {"/dev/disk/by-partlabel/", ROOT_PARTLABEL, true},
        {"virtiofs:", ROOT_VIRTIOFS, false},
        {"9p:", ROOT_9P, false},
    };
    bool encoded = false;

    *out = (struct root_spec){.kind = ROOT_NONE};
    if (!root || strlen(root) >= sizeof(out->value)) {
        return false;
    }
    strcpy(out->value, root);
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms) && !out->kind; i++) {
        size_t n = strlen(forms[i].prefix);
        if (!strncmp(root, forms[i].prefix, n)) {
            out->kind = forms[i].kind;
            encoded = forms[i].encoded;
            strcpy(out->value, root + n);
        }
    }
    if (encoded) {
        decode_udev(out->value);
    } else if (out->kind) {
        strip_quotes(out->value);
    }
    if (!out->kind && is_type(rootfstype, "virtiofs")) {
        out->kind = ROOT_VIRTIOFS;
    } else if (!out->kind && is_type(rootfstype, "9p")) {
        out->kind = ROOT_9P;
    } else if (!out->kind && !strncmp(root, "/dev/", 5) && root[5]) {
        out->kind = ROOT_DEVICE;
    } else if (!out->kind && parse_devno(out, root)) {
        out->kind = ROOT_DEVNO;
    }
    if (!out->value[0]) {
        out->kind = ROOT_NONE;
    }
    return out->kind != ROOT_NONE;
}
