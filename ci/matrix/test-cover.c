/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Is every pair, or triple, that can be in a covering set? Found out another way than cover.c does.
 */
#include <string.h>

#include "axes.h"

typedef struct {
    const CoverSpace *space;
    int strength;
    GPtrArray *set;
    GHashTable *covered; /* tuples, as text */
    gsize valid;
} Check;

/* Calls @visit with the text of each tuple of @values: "axis=value" as often as the strength. */
static void for_each_tuple(const Check *check, const int *values, const char *before, int first,
                           int depth, void (*visit)(GHashTable *covered, const char *tuple))
{
    if (depth == check->strength) {
        visit(check->covered, before);
        return;
    }
    for (int axis = first; axis < check->space->axes; axis++) {
        g_autofree char *text = g_strdup_printf("%s%d=%d ", before, axis, values[axis]);

        for_each_tuple(check, values, text, axis + 1, depth + 1, visit);
    }
}

static void add(GHashTable *covered, const char *tuple)
{
    g_hash_table_add(covered, g_strdup(tuple));
}

static void assert_there(GHashTable *covered, const char *tuple)
{
    g_assert_true(g_hash_table_contains(covered, tuple));
}

static void check_valid(const int *values, gpointer data)
{
    Check *check = data;

    check->valid++;
    for_each_tuple(check, values, "", 0, 0, assert_there);
}

/* Returns the size of the set. */
static guint check_set(const CoverSpace *space, int strength, const int *const *crosses)
{
    g_autoptr(GPtrArray) set = cover_make(space, strength, crosses);
    g_autoptr(GPtrArray) again = cover_make(space, strength, crosses);
    g_autoptr(GHashTable) covered = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Check check = {space, strength, set, covered, 0};

    g_assert_cmpuint(set->len, ==, again->len);
    for (guint i = 0; i < set->len; i++) {
        gsize size = (gsize)space->axes * sizeof(int);

        g_assert_true(!space->valid || space->valid(set->pdata[i]));
        g_assert_cmpmem(set->pdata[i], size, again->pdata[i], size);
        for_each_tuple(&check, set->pdata[i], "", 0, 0, add);
    }
    cover_for_each(space, check_valid, &check);
    g_test_message("%u combinations of %zu", set->len, check.valid);
    return set->len;
}

/* With four axes of three values nine combinations can do, with all of two values eight. */
static void test_free(void)
{
    static const int threes[] = {3, 3, 3, 3}, twos[] = {2, 2, 2}, one[] = {1, 1};
    guint pairs = check_set(&(CoverSpace){4, threes, NULL}, 2, NULL);

    g_assert_cmpuint(pairs, >=, 9);
    g_assert_cmpuint(pairs, <=, 14);
    g_assert_cmpuint(check_set(&(CoverSpace){3, twos, NULL}, 3, NULL), ==, 8);
    g_assert_cmpuint(check_set(&(CoverSpace){2, one, NULL}, 2, NULL), ==, 1);
}

/* Of the first two axes only equal values, and nothing at all where the last is 2. */
static gboolean is_odd(const int *values)
{
    return values[0] == values[1] && values[3] != 2;
}

static gboolean never(G_GNUC_UNUSED const int *values)
{
    return FALSE;
}

static void test_ruled(void)
{
    static const int sizes[] = {4, 4, 3, 3, 2};

    g_assert_cmpuint(check_set(&(CoverSpace){5, sizes, is_odd}, 2, NULL), >=, 12);
    g_assert_cmpuint(check_set(&(CoverSpace){5, sizes, is_odd}, 3, NULL), >=, 24);
    g_assert_cmpuint(check_set(&(CoverSpace){5, sizes, never}, 2, NULL), ==, 0);
}

/* All of the first three axes, pairs of the others. */
static void test_cross(void)
{
    static const int sizes[] = {3, 3, 3, 2, 2}, first[] = {0, 1, 2, -1};
    static const int *const crosses[] = {first, NULL};
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    const CoverSpace space = {5, sizes, NULL};
    g_autoptr(GPtrArray) set = cover_make(&space, 2, crosses);

    for (guint i = 0; i < set->len; i++) {
        const int *values = set->pdata[i];

        g_hash_table_add(seen, GINT_TO_POINTER(values[0] * 9 + values[1] * 3 + values[2]));
    }
    g_assert_cmpuint(g_hash_table_size(seen), ==, 27);
    g_assert_cmpuint(check_set(&space, 2, crosses), ==, 27);
}

/* The set that is booted. */
static void test_matrix(void)
{
    axes_set_quick();
    check_set(axes_space(), 2, axes_crosses_quick);
}

static void test_fixed(void)
{
    g_autoptr(GPtrArray) set = NULL;
    g_autofree char *name = NULL;

    g_assert_false(axes_fix("kernel=minix"));
    g_assert_false(axes_fix("colour=red"));
    g_assert_true(axes_fix("kernel=debian"));
    g_assert_true(axes_fix("devices=23"));
    set = cover_make(axes_space(), 2, NULL);
    g_assert_cmpuint(set->len, >, 0);
    for (guint i = 0; i < set->len; i++) {
        g_free(name);
        name = axes_name(set->pdata[i]);
        g_assert_nonnull(strstr(name, "kernel=debian "));
        g_assert_nonnull(strstr(name, " devices=23 "));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cover/free", test_free);
    g_test_add_func("/cover/ruled", test_ruled);
    g_test_add_func("/cover/cross", test_cross);
    g_test_add_func("/cover/matrix", test_matrix);
    g_test_add_func("/cover/fixed", test_fixed); /* the last: it restricts the axes */
    return g_test_run();
}
