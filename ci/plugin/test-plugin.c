/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "calls.h"
#include "insn.h"
#include "mark.h"
#include "symbols.h"

static void test_insn(void)
{
    static const struct {
        const char *bytes;
        gsize size;
        InsnKind kind;
        gboolean in_dx;
        guint number;
    } cases[] = {
        {"\xe4\x71", 2, INSN_IN, FALSE, 0x71},
        {"\xe6\x80", 2, INSN_OUT, FALSE, 0x80},
        {"\x66\xed", 2, INSN_IN, TRUE, 0},
        {"\xf3\x6e", 2, INSN_OUT, TRUE, 0},
        {"\x0f\x30", 2, INSN_WRMSR, FALSE, 0},
        {"\x0f\x32", 2, INSN_RDMSR, FALSE, 0},
        {"\x0f\xa2", 2, INSN_CPUID, FALSE, 0},
        {"\xf4", 1, INSN_HLT, FALSE, 0},
        {"\x0f\x22\xd8", 3, INSN_CR3, FALSE, 0},   /* mov %rax,%cr3 */
        {"\x0f\x22\xe0", 3, INSN_PLAIN, FALSE, 0}, /* mov %rax,%cr4 */
        {"\x0f\x01\xd1", 3, INSN_XSETBV, FALSE, 0},
        {"\x0f\x01\xf8", 3, INSN_PLAIN, FALSE, 0}, /* swapgs */
        {"\xc3", 1, INSN_RETURN, FALSE, 0},
        {"\xf3\xc3", 2, INSN_RETURN, FALSE, 0},
        {"\x48\xcf", 2, INSN_RETURN, FALSE, 0},     /* iretq */
        {"\x48\x0f\x07", 3, INSN_RETURN, FALSE, 0}, /* sysretq */
        {"\x40", 1, INSN_PLAIN, FALSE, 0},          /* inc %eax, where there is no REX */
        {"\x0f\x1f\x84\x00\x02\x4d\x56\x4d", 8, INSN_MARK, FALSE, 2},
        {"\x0f\x1f\x84\x00\x00\x00\x00\x00", 8, INSN_PLAIN, FALSE, 0},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        Insn insn = insn_decode((const guint8 *)cases[i].bytes, cases[i].size);

        g_test_message("%zu", i);
        g_assert_cmpint(insn.kind, ==, cases[i].kind);
        g_assert_cmpint(insn.port_in_dx, ==, cases[i].in_dx);
        g_assert_cmpint(insn.number, ==, cases[i].number);
    }
}

/* What MARK() assembles is what the plugin takes for a mark. */
static void __attribute__((noinline)) marked(void)
{
    MARK(MARK_READY);
}

static void test_mark(void)
{
    const guint8 *code = (const guint8 *)(gpointer)marked;

    for (int i = 0; i < 16; i++) {
        Insn insn = insn_decode(code + i, 8);

        if (insn.kind == INSN_MARK) {
            g_assert_cmpint(insn.number, ==, MARK_READY);
            return;
        }
    }
    g_assert_not_reached();
}

static Symbols *load(const char *text, GError **error)
{
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("symbols-XXXXXX", &path, NULL);
    Symbols *symbols;

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    symbols = symbols_load(path, error);
    g_remove(path);
    return symbols;
}

static const char map[] = "0000000000000000 D __per_cpu_start\n"
                          "ffffffff81000000 T _text\n"
                          "ffffffff81000000 T startup\n"
                          "ffffffff81000010 T __pfx_first\n"
                          "ffffffff81000020 T first\n"
                          "ffffffff81000020 T first_alias\n"
                          "ffffffff81000080 t second\n"
                          "ffffffff81000090 d data\n"
                          "ffffffff81000100 t third\n"
                          "ffffffff81000200 B _end\n";

static void check_symbol(Symbols *symbols, guint64 address, const char *name, gboolean start)
{
    gboolean is_start;
    guint number = symbols_find(symbols, address, &is_start);

    g_assert_cmpstr(symbols_name(symbols, number), ==, name);
    g_assert_cmpint(is_start, ==, start);
}

static void test_symbols(void)
{
    Symbols *symbols = load(map, NULL);

    g_assert_nonnull(symbols);
    check_symbol(symbols, 0xffffffff81000000, "startup", TRUE);
    check_symbol(symbols, 0xffffffff8100001f, "startup", FALSE);
    check_symbol(symbols, 0xffffffff81000020, "first", TRUE);
    check_symbol(symbols, 0xffffffff810000ff, "second", FALSE);
    check_symbol(symbols, 0xffffffff810001ff, "third", FALSE);
    check_symbol(symbols, 0xffffffff81000200, NULL, FALSE);
    check_symbol(symbols, 0xffffffff80ffffff, NULL, FALSE);
    check_symbol(symbols, 0x1000020, NULL, FALSE);
    symbols_free(symbols);
}

static void test_no_symbols(void)
{
    g_autoptr(GError) error = NULL;
    Symbols *symbols = symbols_load(NULL, NULL);

    check_symbol(symbols, 0xffffffff81000000, NULL, FALSE);
    symbols_free(symbols);
    g_assert_null(load("no map at all\n", &error));
    g_assert_nonnull(error);
}

/* The text that calls_print() writes, its lines in order. */
static char *printed(const Calls *calls, const Symbols *symbols)
{
    static const char *const phases[] = {"early", "late"};
    g_autofree char *buffer = NULL;
    size_t size;
    FILE *file = open_memstream(&buffer, &size);

    calls_print(calls, file, symbols, phases, 2);
    fclose(file);
    return g_strdup(buffer);
}

/* startup calls first, which jumps to second; a thread's third; and a phase that ends meanwhile. */
static void test_calls(void)
{
    Symbols *symbols = load(map, NULL);
    Calls *calls = calls_new();
    g_autofree char *text = NULL;
    enum { STARTUP = 1, FIRST, SECOND, THIRD };
    const guint64 stack = 0xffff888000014000, other = 0xffff888000024000;

    calls_enter(calls, STARTUP, stack - 8, 5);
    calls_enter(calls, FIRST, stack - 64, 15);
    calls_enter(calls, SECOND, stack - 64, 16); /* a tail call */
    calls_enter(calls, SECOND, stack - 64, 18); /* a loop to its start */
    calls_enter(calls, THIRD, other - 8, 20);   /* another thread */
    calls_leave(calls, stack - 64, 50);         /* back in second, which returns to startup */
    calls_settle(calls, 53);
    calls_set_phase(calls, 1);
    calls_enter(calls, FIRST, stack - 64, 60);
    calls_leave(calls, stack - 64, 67);
    calls_settle(calls, 70);
    text = printed(calls, symbols);
    g_assert_cmpstr(text, ==,
                    "stack early 5\n"
                    "stack early;startup 13\n"
                    "stack early;startup;first 1\n"
                    "stack early;startup;first;second 4\n"
                    "stack early;third 30\n"
                    "stack late 7\n"
                    "stack late;startup 3\n"
                    "stack late;startup;first 7\n");
    calls_free(calls);
    symbols_free(symbols);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/plugin/insn", test_insn);
    g_test_add_func("/plugin/mark", test_mark);
    g_test_add_func("/plugin/symbols", test_symbols);
    g_test_add_func("/plugin/no-symbols", test_no_symbols);
    g_test_add_func("/plugin/calls", test_calls);
    return g_test_run();
}
