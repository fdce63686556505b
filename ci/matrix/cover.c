/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A greedy search. Each new combination begins with one that is known to hold a tuple which is not
 * covered yet; then its other axes are changed, one by one, to whatever covers most.
 */
#include "cover.h"

#include <string.h>

#define TRIES 20 /* for each combination; the best is taken */
#define SEED 1

/* Some axes, and where the tuples of their values begin in the table of all tuples. */
typedef struct {
    int axes[COVER_AXES], n_axes;
    gsize base, count;
} Group;

typedef struct {
    const CoverSpace *space;
    GArray *groups;
    gsize tuples, left; /* in all; still to be covered */
    guint8 *open;       /* of each tuple: whether it is still to be covered */
    int *example;       /* of each tuple: a valid combination that has it */
    GRand *rand;
} Cover;

void cover_for_each(const CoverSpace *space, void (*visit)(const int *values, gpointer data),
                    gpointer data)
{
    int values[COVER_AXES] = {0}, axis;

    do {
        if (!space->valid || space->valid(values)) {
            visit(values, data);
        }
        for (axis = space->axes - 1; axis >= 0 && ++values[axis] == space->sizes[axis]; axis--) {
            values[axis] = 0;
        }
    } while (axis >= 0);
}

static void add_group(Cover *cover, Group *group)
{
    group->base = cover->tuples;
    group->count = 1;
    for (int i = 0; i < group->n_axes; i++) {
        group->count *= (gsize)cover->space->sizes[group->axes[i]];
    }
    cover->tuples += group->count;
    g_array_append_val(cover->groups, *group);
}

/* Adds all groups of @strength axes that begin with those in @group. */
static void add_groups(Cover *cover, Group *group, int strength)
{
    int depth = group->n_axes;

    if (depth == strength) {
        add_group(cover, group);
        return;
    }
    for (int axis = depth ? group->axes[depth - 1] + 1 : 0; axis < cover->space->axes; axis++) {
        group->axes[depth] = axis;
        group->n_axes = depth + 1;
        add_groups(cover, group, strength);
    }
    group->n_axes = depth;
}

static void add_cross(Cover *cover, const int *axes)
{
    Group group = {0};

    while (axes[group.n_axes] >= 0) {
        group.axes[group.n_axes] = axes[group.n_axes];
        group.n_axes++;
    }
    add_group(cover, &group);
}

static gsize tuple_of(const Cover *cover, const Group *group, const int *values)
{
    gsize index = 0;

    for (int i = 0; i < group->n_axes; i++) {
        int axis = group->axes[i];

        index = index * (gsize)cover->space->sizes[axis] + (gsize)values[axis];
    }
    return group->base + index;
}

static int *example_of(const Cover *cover, gsize tuple)
{
    return cover->example + tuple * (gsize)cover->space->axes;
}

static void note(const int *values, gpointer data)
{
    Cover *cover = data;

    for (guint i = 0; i < cover->groups->len; i++) {
        gsize tuple = tuple_of(cover, &g_array_index(cover->groups, Group, i), values);

        if (!cover->open[tuple]) {
            cover->open[tuple] = 1;
            cover->left++;
            memcpy(example_of(cover, tuple), values, (gsize)cover->space->axes * sizeof(int));
        }
    }
}

/* How many tuples @values would cover. */
static int gain(const Cover *cover, const int *values)
{
    int sum = 0;

    for (guint i = 0; i < cover->groups->len; i++) {
        sum += cover->open[tuple_of(cover, &g_array_index(cover->groups, Group, i), values)];
    }
    return sum;
}

/* Sets @axis to what covers most, to any of the best where there are several. Returns the gain. */
static int improve(const Cover *cover, int *values, int axis)
{
    int best = -1, chosen = values[axis], equal = 0;

    for (values[axis] = 0; values[axis] < cover->space->sizes[axis]; values[axis]++) {
        int sum = !cover->space->valid || cover->space->valid(values) ? gain(cover, values) : -1;

        if (sum > best) {
            best = sum;
            equal = 0;
        }
        if (sum >= 0 && sum == best && g_rand_int_range(cover->rand, 0, ++equal) == 0) {
            chosen = values[axis];
        }
    }
    values[axis] = chosen;
    return best;
}

static const Group *group_of(const Cover *cover, gsize tuple)
{
    guint i = 0;

    while (tuple >= g_array_index(cover->groups, Group, i).base +
                        g_array_index(cover->groups, Group, i).count) {
        i++;
    }
    return &g_array_index(cover->groups, Group, i);
}

/* Goes through the axes in random order, but leaves alone those of the tuple that is wanted. */
static int try_once(const Cover *cover, gsize tuple, int *values)
{
    const Group *group = group_of(cover, tuple);
    int order[COVER_AXES], axes = cover->space->axes;

    memcpy(values, example_of(cover, tuple), (gsize)axes * sizeof(int));
    for (int i = 0; i < axes; i++) {
        int j = g_rand_int_range(cover->rand, 0, i + 1);

        order[i] = order[j];
        order[j] = i;
    }
    for (int i = 0; i < axes; i++) {
        gboolean wanted = FALSE;

        for (int j = 0; j < group->n_axes; j++) {
            wanted = wanted || group->axes[j] == order[i];
        }
        if (!wanted) {
            improve(cover, values, order[i]);
        }
    }
    return gain(cover, values);
}

/* The best combination, of some, that has @tuple. */
static int *find(const Cover *cover, gsize tuple)
{
    gsize size = (gsize)cover->space->axes * sizeof(int);
    int *best = g_malloc(size), most = 0, values[COVER_AXES];

    for (int i = 0; i < TRIES; i++) {
        int sum = try_once(cover, tuple, values);

        if (sum > most) {
            most = sum;
            memcpy(best, values, size);
        }
    }
    return best;
}

static void close_tuples(Cover *cover, const int *values)
{
    for (guint i = 0; i < cover->groups->len; i++) {
        gsize tuple = tuple_of(cover, &g_array_index(cover->groups, Group, i), values);

        cover->left -= cover->open[tuple];
        cover->open[tuple] = 0;
    }
}

GPtrArray *cover_make(const CoverSpace *space, int strength, const int *const *crosses)
{
    Cover cover = {.space = space};
    GPtrArray *set = g_ptr_array_new_with_free_func(g_free);
    Group group = {0};

    g_assert(space->axes <= COVER_AXES && strength <= space->axes);
    cover.groups = g_array_new(FALSE, FALSE, sizeof(Group));
    add_groups(&cover, &group, strength);
    while (crosses && *crosses) {
        add_cross(&cover, *crosses++);
    }
    cover.open = g_new0(guint8, cover.tuples);
    cover.example = g_new(int, cover.tuples *(gsize)space->axes);
    cover.rand = g_rand_new_with_seed(SEED);
    cover_for_each(space, note, &cover);
    for (gsize tuple = 0; cover.left > 0; tuple++) {
        if (cover.open[tuple]) {
            int *values = find(&cover, tuple);

            close_tuples(&cover, values);
            g_ptr_array_add(set, values);
        }
    }
    g_rand_free(cover.rand);
    g_free(cover.example);
    g_free(cover.open);
    g_array_unref(cover.groups);
    return set;
}
