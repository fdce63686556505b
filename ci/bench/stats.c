/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int by_value(gconstpointer a, gconstpointer b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static int by_size(gconstpointer a, gconstpointer b)
{
    double x = fabs(*(const double *)a), y = fabs(*(const double *)b);

    return x < y ? -1 : x > y;
}

double stats_quantile(const double *values, guint n, double part)
{
    g_autofree double *sorted = g_memdup2(values, n * sizeof(*values));
    guint index = (guint)ceil(part * n);

    qsort(sorted, n, sizeof(*sorted), by_value);
    return sorted[CLAMP(index, 1, n) - 1];
}

/* The number of @values that are not zero, which come first then. */
static guint drop_zeros(double *values, guint n)
{
    guint kept = 0;

    for (guint i = 0; i < n; i++) {
        if (values[i] < 0 || values[i] > 0) {
            values[kept++] = values[i];
        }
    }
    return kept;
}

/*
 * The distribution of the sum of those of @ranks whose fair coins fall on heads: each rank either
 * shifts it or not. @sum is that of all.
 */
static double *distribution(const guint *ranks, guint n, guint sum)
{
    double *chance = g_new0(double, sum + 1);
    guint reached = 0;

    chance[0] = 1;
    for (guint i = 0; i < n; i++) {
        reached += ranks[i];
        for (guint s = reached + 1; s-- > 0;) {
            chance[s] = (chance[s] + (s >= ranks[i] ? chance[s - ranks[i]] : 0)) / 2;
        }
    }
    return chance;
}

double stats_signed_rank(const double *differences, guint n)
{
    g_autofree double *sorted = g_memdup2(differences, n * sizeof(*differences));
    g_autofree guint *ranks = NULL; /* twice the rank, as ties have halves */
    g_autofree double *chance = NULL;
    guint sum = 0, positive = 0;
    double tail = 0;

    n = drop_zeros(sorted, n);
    qsort(sorted, n, sizeof(*sorted), by_size);
    ranks = g_new(guint, n + 1);
    for (guint i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && fabs(sorted[end]) <= fabs(sorted[i]); end++) {
        }
        for (guint k = i; k < end; k++) {
            ranks[k] = i + 1 + end; /* of the ranks from i + 1 to end, twice their mean */
            sum += ranks[k];
            positive += sorted[k] > 0 ? ranks[k] : 0;
        }
    }
    chance = distribution(ranks, n, sum);
    for (guint s = MAX(positive, sum - positive); s <= sum; s++) {
        tail += chance[s];
    }
    return MIN(1, 2 * tail);
}
