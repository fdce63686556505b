/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan-parts.h"

#include <string.h>

/* COMMAND_LINE_SIZE of x86 (arch/x86/include/asm/setup.h), less the NUL. */
#define LINUX_COMMAND_LINE_MAX 2047

/* Whether @word is QEMU's option @name, with one dash or two. */
static gboolean is_option(const char *word, const char *name)
{
    if (*word != '-')
        return FALSE;
    return strcmp(word + 1, name) == 0 || (word[1] == '-' && strcmp(word + 2, name) == 0);
}

/*
 * The value of the last option @name among the words that args and the command line add. A word
 * that is the value of one of the options looked for here is no option, whatever it looks like.
 */
static gboolean extra_option(const PlanContext *ctx, const char *name, const char **value,
                             GError **error)
{
    static const char *const looked_for[] = {"kernel", "initrd",  "append", "bios",
                                             "serial", "sandbox", NULL};
    char **words = ctx->plan->extra;

    *value = NULL;
    for (guint i = 0; words[i]; i++) {
        const char *const *known = looked_for;

        while (*known && !is_option(words[i], *known))
            known++;
        if (!*known)
            continue;
        if (!words[i + 1])
            return plan_fail(ctx, config_find(ctx->config, "args"), error, "-%s has no value",
                             *known);
        i++;
        if (strcmp(*known, name) == 0)
            *value = words[i];
    }
    return TRUE;
}

gboolean plan_has_option(const PlanContext *ctx, const char *name)
{
    const char *value;

    return extra_option(ctx, name, &value, NULL) && value;
}

static gboolean has_serial0(const Plan *plan)
{
    return plan->serials->len > 0 && ((PlanSerial *)plan->serials->pdata[0])->index == 0;
}

/* The kernel's console: the ISA port, or else the first virtio console. */
static const char *console_of(const Plan *plan)
{
    if (plan->serials->len == 0)
        return NULL;
    return has_serial0(plan) ? "ttyS0" : "hvc0";
}

/*
 * A small guest gives back free pieces of 128 KiB, where Linux' default is 2 MiB, of which few are
 * free as a whole in so little memory. What this breaks up of the host's huge pages is little, too.
 */
#define SMALL_GUEST_MIB 128
#define SMALL_GUEST_REPORTS "page_reporting.page_reporting_order=5"

static char *linux_command_line(const Plan *plan, gboolean has_boot_disk)
{
    GString *line = g_string_new(NULL);

    if (console_of(plan))
        g_string_append_printf(line, "console=%s ", console_of(plan));
    if (has_boot_disk) {
        const PlanDisk *root = plan->disks->pdata[0];

        g_string_append_printf(line, "root=/dev/vda %s ", root->readonly ? "ro" : "rw");
    }
    g_string_append(line, "quiet");
    if (plan->balloon && !plan->hugepage_mib && plan->memory_mib <= SMALL_GUEST_MIB)
        g_string_append(line, " " SMALL_GUEST_REPORTS);
    return g_string_free(line, FALSE);
}

static gboolean fail_on_args(const PlanContext *ctx, const char *from_args, GError **error,
                             GError *cause)
{
    if (from_args && config_find(ctx->config, "args"))
        return plan_fail_because(ctx, config_find(ctx->config, "args"), error, cause);
    g_propagate_error(error, cause);
    return FALSE;
}

/* The kernel that will run: the one in @from_args, else ours (then the plan's to give). */
static KernelImage *choose_kernel(const PlanContext *ctx, const char *from_args, char **path,
                                  GError **error)
{
    GError *cause = NULL;
    KernelImage *image;

    *path = from_args ? g_strdup(from_args)
                      : host_find(ctx->host, HOST_KERNEL, ctx->options->kernel, error);
    if (!*path)
        return NULL;
    image = host_kernel(ctx->host, *path, &cause);
    if (!image) {
        g_prefix_error(&cause, "kernel ");
        fail_on_args(ctx, from_args, error, cause);
    } else if (!from_args) {
        ctx->plan->kernel = g_strdup(*path);
    }
    return image;
}

/*
 * Our kernel has its drivers for root file systems in our initrd's hands, so it always comes with
 * it; somebody else's kernel gets an initrd only when one is named.
 */
static gboolean choose_initrd(const PlanContext *ctx, const KernelImage *image, const char *kernel,
                              const char *from_args, GError **error)
{
    const char *option = ctx->options->initrd;

    if (from_args) {
        g_ptr_array_add(ctx->plan->check_files, g_strdup(from_args));
        return TRUE;
    }
    if (!option && !host_kernel_is_ours(ctx->host, kernel, image))
        return TRUE;
    ctx->plan->initrd = host_find(ctx->host, HOST_INITRD, option, error);
    return ctx->plan->initrd != NULL;
}

/* What goes beyond is cut off without a word, by QEMU's loader or by Linux. */
static gboolean check_append(const PlanContext *ctx, const KernelImage *image, const char *append,
                             GError **error)
{
    if (!append || !kernel_is_linux(image) || strlen(append) <= LINUX_COMMAND_LINE_MAX)
        return TRUE;
    return plan_fail(ctx, config_find(ctx->config, "args"), error,
                     "-append has %zu bytes, and Linux reads no more than %d", strlen(append),
                     LINUX_COMMAND_LINE_MAX);
}

gboolean plan_kernel(const PlanContext *ctx, gboolean has_boot_disk, GError **error)
{
    const char *kernel, *initrd, *append, *bios, *serial;
    g_autofree char *path = NULL;
    g_autoptr(KernelImage) image = NULL;

    if (!extra_option(ctx, "kernel", &kernel, error) ||
        !extra_option(ctx, "initrd", &initrd, error) ||
        !extra_option(ctx, "append", &append, error) || !extra_option(ctx, "bios", &bios, error) ||
        !extra_option(ctx, "serial", &serial, error))
        return FALSE;
    ctx->plan->own_firmware = bios == NULL;
    ctx->plan->isa_serial = serial || has_serial0(ctx->plan);
    image = choose_kernel(ctx, kernel, &path, error);
    if (!image || !check_append(ctx, image, append, error) ||
        !choose_initrd(ctx, image, path, initrd, error))
        return FALSE;
    if (!append && (!kernel || host_kernel_is_ours(ctx->host, path, image)) &&
        kernel_is_linux(image))
        ctx->plan->append = linux_command_line(ctx->plan, has_boot_disk);
    if (ctx->plan->initrd && kernel_is_linux(image))
        ctx->plan->modules = host_modules(ctx->host, path);
    /* Other systems find virtio-mmio on the kernel command line, which QEMU writes without ACPI. */
    ctx->plan->acpi = plan_bool(ctx, "acpi", kernel_is_linux(image));
    ctx->plan->legacy_timers = !(ctx->plan->kvmclock && ctx->plan->acpi && kernel_is_linux(image));
    return TRUE;
}
