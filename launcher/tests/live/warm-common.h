/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_WARM_COMMON_H
#define MICROVM_WARM_COMMON_H

#include <glib.h>

/* What test-warm's files share: the programs under test, and the one template that all wake from.
 */

#define LIMIT "1500" /* seconds for one command, on a slow, busy host */
#define LIMIT_SECONDS 1500

extern const char *ctl, *launcher, *microvm_run, *qemu, *vmlinux, *initrd, *image;
extern char *dir, *store, *run_dir, *config, *disk;

/* What the last command has printed, and its exit status. */
extern char *out, *err;
extern int code;

#define MAKE_WORDS \
    "--user", "root", "--", "--net", "user", "--qemu", qemu, "--kernel", vmlinux, "--initrd", initrd

/* A path in the tests' directory; to be freed. */
char *in_dir(const char *name);

/* Runs a command to its end. */
void run(const char *const *argv);

/* Runs microvm-ctl with @words and what goes with them. */
void run_ctl(const char *const *words);
#define CTL(...) run_ctl((const char *const[]){__VA_ARGS__, NULL})

/* Starts it, without output. The caller waits for it. */
GPid start_ctl(const char *const *words);

/* Its words, to be freed. */
char **ctl_words(const char *const *words);

/* The last command has succeeded, and said nothing on standard error. */
void assert_done(void);

/* A template "web", which all tests wake clones from; it is made once. */
void need_template(void);

/* What a shell in the guest prints; to be freed. */
char *in_guest(int id, const char *line);

/* Wakes @n clones of "web" together, the first one @id; ends a guest. */
void wake(int id, int n);
void stop(int id);

/* The names in @path, sorted; "" when there are none, or no such directory. To be freed. */
char *names_in(const char *path);
void assert_empty(const char *path);

/* A port of 127.0.0.1 that nobody listens on. */
int free_port(void);

/* Waits until there is a file at @path, whose directory may come later too. */
void wait_for(const char *path);

/* How many QEMUs have to do with the tests' directory. */
int count_qemus(void);

/* test-warm-run.c: the tests of microvm-run; and the CPU time of all that "true" takes. */
void add_run_tests(void);
double run_cpu_ms(void);

/* test-warm-cost.c: what clones cost beside guests that boot. */
void add_cost_tests(void);

/* Ends @pid and all its children, as the kernel's out-of-memory killer would; @pid's status. */
int kill_all(GPid pid);

#endif
