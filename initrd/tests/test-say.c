/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "say.h"

#include <glib.h>
#include <string.h>

static void test_clean(void)
{
    char out[8];

    say_clean(out, sizeof(out), "a b~");
    g_assert_cmpstr(out, ==, "a b~");
    say_clean(out, sizeof(out), "\033[2J\"\n\177");
    g_assert_cmpstr(out, ==, "?[2J???");
    say_clean(out, sizeof(out), "longer than that");
    g_assert_cmpstr(out, ==, "longer ");
    say_clean(out, 1, "x");
    g_assert_cmpstr(out, ==, "");
}

static void test_clean_all(void)
{
    char text[256], out[256];

    for (int i = 0; i < 255; i++) {
        text[i] = (char)(i + 1);
    }
    text[255] = '\0';
    say_clean(out, sizeof(out), text);
    g_assert_cmpuint(strlen(out), ==, 255);
    for (int i = 0; i < 255; i++) {
        g_assert_true(g_ascii_isprint(out[i]));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/say/clean", test_clean);
    g_test_add_func("/say/clean-all", test_clean_all);
    return g_test_run();
}
