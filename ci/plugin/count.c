/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A plugin of QEMU's TCG that counts what a guest's boot costs: instructions by function and call
 * path, accesses to ports and device registers, and the instructions that leave a guest under KVM;
 * all of it by the phase of the boot. With -icount the same boot gives the same counts each time.
 *
 *   -plugin count.so,out=FILE,[map=SYSTEM.MAP,][calls=on,]phase=NAME,phase=NAME@WHERE...
 *
 * The first phase begins at reset; each next one where WHERE is executed for the first time after
 * the one before has begun: LOW-HIGH, hexadecimal virtual addresses; user, for user space; or markN
 * (see mark.h). The last one stands for what comes after: at its begin the counts are written, one
 * a line. FILE ends with "end" if the boot came so far.
 */
#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>

#include <qemu-plugin.h>

#include "calls.h"
#include "insn.h"
#include "settle.h"
#include "symbols.h"

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

#define MAX_PHASES 12
#define VIRTIO_MMIO_BASE 0xfeb00000u
#define VIRTIO_MMIO_END (VIRTIO_MMIO_BASE + 24 * 0x200)
#define PHYSICAL_LIMIT G_GUINT64_CONSTANT(0x40000000) /* the kernel is loaded below that */

typedef struct {
    const char *name;
    gboolean user; /* begins in user space */
    guint mark;    /* or 0 */
    guint64 low, high;
} Phase;

/* The guest's registers that are asked for. */
typedef enum { GUEST_RSP, GUEST_RCX, GUEST_RDX, N_GUEST_REGS } Reg;

typedef struct {
    const char *region; /* interned */
    guint64 base;       /* of a virtio-mmio transport; 0 elsewhere */
    guint phase;
    gboolean write;
} Access;

static Phase phases[MAX_PHASES];
static const char *phase_names[MAX_PHASES];
static guint n_phases, current;
static guint64 *by_symbol[MAX_PHASES]; /* instructions of each function when the phase ended */
static Symbols *symbols;
static Calls *calls;
static Settle *settle;
static char *out_path;
static GHashTable *tallies;                  /* phase, kind, number -> guint64 * */
static GHashTable *accesses;                 /* Access -> guint64 * */
static struct qemu_plugin_scoreboard *score; /* a sum, then one for each function */
static guint64 *shared; /* the same, of all CPUs, where there are several: see count_insn() */
static struct qemu_plugin_register *regs[N_GUEST_REGS];
static GByteArray *reg_buffer;

static gboolean finished(void)
{
    return current + 1 == n_phases;
}

static guint64 read_reg(Reg reg)
{
    guint64 value = 0;

    g_byte_array_set_size(reg_buffer, 0);
    qemu_plugin_read_register(regs[reg], reg_buffer);
    memcpy(&value, reg_buffer->data, MIN(sizeof(value), reg_buffer->len));
    return value;
}

static qemu_plugin_u64 counter(guint index)
{
    return (qemu_plugin_u64){score, index * sizeof(guint64)};
}

static guint64 count_of(guint index)
{
    return shared ? shared[index] : qemu_plugin_u64_get(counter(index), 0);
}

static void count_up(GHashTable *table, gconstpointer key, gsize size)
{
    guint64 *count = g_hash_table_lookup(table, key);

    if (!count) {
        count = g_new0(guint64, 1);
        g_hash_table_insert(table, g_memdup2(key, size), count);
    }
    ++*count;
}

static void tally(InsnKind kind, guint32 number)
{
    gint64 key = (gint64)((guint64)current << 40 | (guint64)kind << 32 | number);

    count_up(tallies, &key, sizeof(key));
}

static guint access_hash(gconstpointer data)
{
    const Access *a = data;

    return g_direct_hash(a->region) ^ (guint)a->base ^ a->phase << 1 ^ (guint)a->write;
}

static gboolean access_equal(gconstpointer data, gconstpointer other)
{
    const Access *a = data, *b = other;

    return a->region == b->region && a->base == b->base && a->phase == b->phase &&
           a->write == b->write;
}

/* -- output */

static void print_phases(FILE *file)
{
    for (guint p = 0; p <= current && p + 1 < n_phases; p++) {
        guint64 sum = 0;

        for (guint i = 0; i < symbols_count(symbols); i++) {
            const char *name = symbols_name(symbols, i);
            guint64 n = by_symbol[p][i] - (p ? by_symbol[p - 1][i] : 0);

            sum += n;
            if (n && name) {
                fprintf(file, "function %s %s %" G_GUINT64_FORMAT "\n", phases[p].name, name, n);
            }
        }
        fprintf(file, "phase %s %" G_GUINT64_FORMAT "\n", phases[p].name, sum);
    }
}

static void print_tallies(FILE *file)
{
    static const char *const words[] = {
        [INSN_IN] = "port in",      [INSN_OUT] = "port out", [INSN_RDMSR] = "msr read",
        [INSN_WRMSR] = "msr write", [INSN_CPUID] = "cpuid",  [INSN_HLT] = "hlt",
        [INSN_CR3] = "cr3",         [INSN_RDTSC] = "rdtsc",  [INSN_WBINVD] = "wbinvd",
        [INSN_XSETBV] = "xsetbv"};
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, tallies);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        guint64 packed = *(guint64 *)key;

        fprintf(file, "%s %s %x %" G_GUINT64_FORMAT "\n", words[packed >> 32 & 0xff],
                phases[packed >> 40].name, (guint)packed, *(guint64 *)value);
    }
}

static void print_accesses(FILE *file)
{
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, accesses);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const Access *access = key;
        g_autofree char *region = g_strdelimit(g_strdup(access->region), " ", '-');

        fprintf(file, "mmio %s %s %s %x %" G_GINT64_MODIFIER "x %" G_GUINT64_FORMAT "\n",
                access->write ? "write" : "read", phases[access->phase].name, region,
                settle_device_id(settle, access->base), access->base, *(guint64 *)value);
    }
}

static void write_counts(void)
{
    FILE *file = fopen(out_path, "we");

    if (!file) {
        fprintf(stderr, "count: %s: %s\n", out_path, g_strerror(errno));
        return;
    }
    print_phases(file);
    print_tallies(file);
    print_accesses(file);
    if (calls) {
        calls_print(calls, file, symbols, phase_names, n_phases - 1);
    }
    fprintf(file, "unsettled %u\n", settle_failures(settle));
    if (finished()) {
        fprintf(file, "end\n");
    }
    fclose(file);
}

/* -- phases */

static void take_counts(void)
{
    for (guint i = 0; i < symbols_count(symbols); i++) {
        by_symbol[current][i] = count_of(i + 1);
    }
    if (calls) {
        calls_settle(calls, count_of(0));
    }
}

static void on_phase(G_GNUC_UNUSED unsigned cpu, void *data)
{
    guint phase = GPOINTER_TO_UINT(data);

    if (phase != current + 1) {
        return;
    }
    take_counts();
    current = phase;
    if (calls) {
        calls_set_phase(calls, phase);
    }
    if (finished()) {
        write_counts();
    }
}

static void on_exit_of_qemu(G_GNUC_UNUSED qemu_plugin_id_t id, G_GNUC_UNUSED void *data)
{
    if (!finished()) {
        take_counts();
        write_counts();
    }
}

/* -- what is executed */

static void on_insn(G_GNUC_UNUSED unsigned cpu, void *data)
{
    guint packed = GPOINTER_TO_UINT(data);
    InsnKind kind = packed & 0xff;
    guint32 number = packed >> 16;

    if (finished()) {
        return;
    }
    if (packed & 0x100) {
        number = read_reg(GUEST_RDX) & 0xffff;
    } else if (kind == INSN_RDMSR || kind == INSN_WRMSR) {
        number = (guint32)read_reg(GUEST_RCX);
    }
    tally(kind, number);
}

static void on_enter(G_GNUC_UNUSED unsigned cpu, void *data)
{
    if (!finished()) {
        calls_enter(calls, GPOINTER_TO_UINT(data), read_reg(GUEST_RSP), count_of(0));
    }
}

static void on_leave(G_GNUC_UNUSED unsigned cpu, G_GNUC_UNUSED void *data)
{
    if (!finished()) {
        calls_leave(calls, read_reg(GUEST_RSP), count_of(0));
    }
}

static guint64 value_of(qemu_plugin_meminfo_t info)
{
    qemu_plugin_mem_value value = qemu_plugin_mem_get_value(info);

    switch (value.type) {
    case QEMU_PLUGIN_MEM_VALUE_U8:
        return value.data.u8;
    case QEMU_PLUGIN_MEM_VALUE_U16:
        return value.data.u16;
    case QEMU_PLUGIN_MEM_VALUE_U32:
        return value.data.u32;
    case QEMU_PLUGIN_MEM_VALUE_U64:
        return value.data.u64;
    default:
        return 0;
    }
}

/* Whether the address is known to be memory: most are, and to ask costs ten times as much. */
static gboolean is_memory(guint64 vaddr)
{
    return (vaddr >> 46 == 0x3ffe2 || vaddr >> 46 == 0x3ffe1) || /* the map of all memory */
           vaddr >> 48 == 0xff11 ||                              /* with five levels of tables */
           vaddr >> 40 == 0xffffea ||                            /* descriptors of pages */
           vaddr >> 29 == KERNEL_BASE >> 29;                     /* the kernel itself */
}

/*
 * What lies at @phys. Several regions on one page have a nameless one in QEMU's way to them, and on
 * this board those are the transports' (hw/i386/microvm.h).
 */
static const char *region_name(const struct qemu_plugin_hwaddr *hwaddr, guint64 phys, guint64 *base)
{
    const char *name = qemu_plugin_hwaddr_device_name(hwaddr);

    *base = 0;
    if (!g_str_has_prefix(name, "anon")) {
        return name;
    }
    if (phys < VIRTIO_MMIO_BASE || phys >= VIRTIO_MMIO_END) {
        return g_intern_static_string("several");
    }
    *base = phys & ~G_GUINT64_CONSTANT(0x1ff);
    return g_intern_static_string("virtio-mmio");
}

static void on_memory(G_GNUC_UNUSED unsigned cpu, qemu_plugin_meminfo_t info, guint64 vaddr,
                      G_GNUC_UNUSED void *data)
{
    struct qemu_plugin_hwaddr *hwaddr;
    gboolean write = qemu_plugin_mem_is_store(info);
    Access access = {.phase = current, .write = write};
    guint64 phys;

    if (is_memory(vaddr) || finished()) {
        return;
    }
    hwaddr = qemu_plugin_get_hwaddr(info, vaddr);
    if (!hwaddr || !qemu_plugin_hwaddr_is_io(hwaddr)) {
        return;
    }
    phys = qemu_plugin_hwaddr_phys_addr(hwaddr);
    access.region = region_name(hwaddr, phys, &access.base);
    count_up(accesses, &access, sizeof(access));
    settle_access(settle, access.region, phys, vaddr, write, value_of(info));
}

/* -- translation */

/* Programs lie at 4 MiB, or far up if they are relocatable; the kernel begins at 16 MiB. */
static gboolean is_user(guint64 vaddr)
{
    return (vaddr >= 0x400000 && vaddr < 0x1000000) || (vaddr >> 32 && !(vaddr >> 47));
}

static gboolean begins(const Phase *phase, guint64 vaddr, const Insn *what)
{
    if (what->kind == INSN_MARK && phase->mark == what->number) {
        return TRUE;
    }
    return phase->user ? is_user(vaddr) : vaddr >= phase->low && vaddr < phase->high;
}

static void mark_phases(struct qemu_plugin_insn *insn, guint64 vaddr, const Insn *what)
{
    for (guint p = current + 1; p < n_phases; p++) {
        if (begins(&phases[p], vaddr, what)) {
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_phase, QEMU_PLUGIN_CB_NO_REGS,
                                                   GUINT_TO_POINTER(p));
        }
    }
}

static void watch_kind(struct qemu_plugin_insn *insn, const Insn *what)
{
    gboolean reads = what->port_in_dx || what->kind == INSN_RDMSR || what->kind == INSN_WRMSR;

    if (what->kind != INSN_PLAIN && what->kind != INSN_MARK && what->kind != INSN_RETURN) {
        qemu_plugin_register_vcpu_insn_exec_cb(
            insn, on_insn, reads ? QEMU_PLUGIN_CB_R_REGS : QEMU_PLUGIN_CB_NO_REGS,
            GUINT_TO_POINTER(what->kind | (what->port_in_dx ? 0x100 : 0) | what->number << 16));
    }
}

static void watch_calls(struct qemu_plugin_insn *insn, const Insn *what, guint symbol,
                        gboolean is_start)
{
    /* thunks stand between a call and the function called; they are the caller's */
    if (is_start && !g_str_has_prefix(symbols_name(symbols, symbol), "__x86_")) {
        qemu_plugin_register_vcpu_insn_exec_cb(insn, on_enter, QEMU_PLUGIN_CB_R_REGS,
                                               GUINT_TO_POINTER(symbol));
    }
    if (what->kind == INSN_RETURN && symbol != SYMBOL_NONE) {
        qemu_plugin_register_vcpu_insn_exec_cb(insn, on_leave, QEMU_PLUGIN_CB_R_REGS, NULL);
    }
}

static void on_shared(G_GNUC_UNUSED unsigned cpu, void *data)
{
    shared[0]++;
    shared[GPOINTER_TO_UINT(data)]++;
}

/*
 * Without a call where there is one CPU. With more, and one thread for all of them as -icount wants
 * it, the code that QEMU 10.0 makes for that has the number of whichever CPU came there first for a
 * constant, and overwrites that.
 */
static void count_insn(struct qemu_plugin_insn *insn, guint symbol)
{
    if (shared) {
        qemu_plugin_register_vcpu_insn_exec_cb(insn, on_shared, QEMU_PLUGIN_CB_NO_REGS,
                                               GUINT_TO_POINTER(symbol + 1));
        return;
    }
    if (calls) {
        qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(insn, QEMU_PLUGIN_INLINE_ADD_U64,
                                                            counter(0), 1);
    }
    qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(insn, QEMU_PLUGIN_INLINE_ADD_U64,
                                                        counter(symbol + 1), 1);
}

static void watch(struct qemu_plugin_insn *insn)
{
    guint64 vaddr = qemu_plugin_insn_vaddr(insn), address = vaddr;
    guint8 bytes[16];
    gsize size = qemu_plugin_insn_data(insn, bytes, sizeof(bytes));
    Insn what = insn_decode(bytes, size);
    gboolean is_start;
    guint symbol;

    /* where the kernel runs before it has mapped itself, unless that is the decompressor's place */
    if (vaddr < PHYSICAL_LIMIT && g_str_equal(phases[current].name, "kernel")) {
        address += KERNEL_BASE;
    }
    symbol = symbols_find(symbols, address, &is_start);
    mark_phases(insn, vaddr, &what);
    watch_kind(insn, &what);
    if (calls) {
        watch_calls(insn, &what, symbol, is_start);
    }
    count_insn(insn, symbol);
    qemu_plugin_register_vcpu_mem_cb(insn, on_memory, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW,
                                     NULL);
}

static void on_translation(G_GNUC_UNUSED qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    if (finished()) {
        return;
    }
    for (gsize i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        watch(qemu_plugin_tb_get_insn(tb, i));
    }
}

static void on_cpu(G_GNUC_UNUSED qemu_plugin_id_t id, unsigned cpu)
{
    static const char *const names[N_GUEST_REGS] = {"rsp", "rcx", "rdx"};
    g_autoptr(GArray) all = NULL;

    if (cpu) {
        return; /* all have the same */
    }
    all = qemu_plugin_get_registers();
    for (guint i = 0; i < all->len; i++) {
        qemu_plugin_reg_descriptor *reg = &g_array_index(all, qemu_plugin_reg_descriptor, i);

        for (guint k = 0; k < N_GUEST_REGS; k++) {
            if (g_str_equal(reg->name, names[k])) {
                regs[k] = reg->handle;
            }
        }
    }
    g_assert(regs[GUEST_RSP] && regs[GUEST_RCX] && regs[GUEST_RDX]);
}

/* -- start */

/* "NAME", "NAME@LOW-HIGH", "NAME@user" or "NAME@markN". */
static gboolean add_phase(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "@", 2);
    Phase *phase = &phases[n_phases];
    char *end = NULL;

    if (n_phases == MAX_PHASES || !parts[0] || (n_phases && !parts[1])) {
        return FALSE;
    }
    phase_names[n_phases++] = phase->name = g_intern_string(parts[0]);
    if (!parts[1]) {
        return TRUE;
    }
    phase->user = g_str_equal(parts[1], "user");
    if (phase->user) {
        return TRUE;
    }
    if (g_str_has_prefix(parts[1], "mark")) {
        phase->mark = (guint)g_ascii_strtoull(parts[1] + 4, &end, 10);
        return phase->mark && !*end;
    }
    phase->low = g_ascii_strtoull(parts[1], &end, 16);
    if (*end != '-') {
        return FALSE;
    }
    phase->high = g_ascii_strtoull(end + 1, &end, 16);
    return !*end && phase->low < phase->high;
}

static gboolean take_argument(const char *argument, const char **map, bool *with_calls)
{
    g_auto(GStrv) parts = g_strsplit(argument, "=", 2);

    if (!parts[0] || !parts[1]) {
        return FALSE;
    }
    if (g_str_equal(parts[0], "out")) {
        out_path = g_strdup(parts[1]);
        return TRUE;
    }
    if (g_str_equal(parts[0], "map")) {
        *map = g_intern_string(parts[1]);
        return TRUE;
    }
    if (g_str_equal(parts[0], "phase")) {
        return add_phase(parts[1]);
    }
    return g_str_equal(parts[0], "calls") && qemu_plugin_bool_parse(parts[0], parts[1], with_calls);
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
                                           char **argv)
{
    g_autoptr(GError) error = NULL;
    const char *map = NULL;
    bool with_calls = false;

    for (int i = 0; i < argc; i++) {
        if (!take_argument(argv[i], &map, &with_calls)) {
            fprintf(stderr, "count: '%s': out=, map=, calls=on and phase= are known\n", argv[i]);
            return -1;
        }
    }
    if (!out_path || n_phases < 2 || !info->system_emulation) {
        fprintf(stderr, "count: out= and at least two of phase= are wanted\n");
        return -1;
    }
    symbols = symbols_load(map, &error);
    if (!symbols) {
        fprintf(stderr, "count: %s\n", error->message);
        return -1;
    }
    calls = with_calls ? calls_new() : NULL;
    settle = settle_new();
    tallies = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    accesses = g_hash_table_new_full(access_hash, access_equal, g_free, g_free);
    reg_buffer = g_byte_array_new();
    if (info->system.max_vcpus > 1) {
        shared = g_new0(guint64, symbols_count(symbols) + 1);
    }
    score = qemu_plugin_scoreboard_new((symbols_count(symbols) + 1) * sizeof(guint64));
    for (guint p = 0; p < n_phases; p++) {
        by_symbol[p] = g_new0(guint64, symbols_count(symbols));
    }
    qemu_plugin_register_vcpu_init_cb(id, on_cpu);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_exit_of_qemu, NULL);
    return 0;
}
