/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "calls.h"

#define STACK_SHIFT 14 /* THREAD_SIZE of x86-64, to which kernel stacks are aligned */

typedef struct {
    guint parent, symbol, phase;
    guint64 self;
} Node;

typedef struct {
    guint64 slot; /* where the return address is */
    guint symbol, node, phase;
} Frame;

struct Calls {
    GArray *nodes;      /* of Node; the roots of phases have no symbol */
    GHashTable *child;  /* parent's number and symbol -> number */
    GHashTable *stacks; /* part of the address -> GArray of Frame, innermost last */
    guint phase, node;
    guint64 done; /* instructions, up to the last call */
};

static void free_stack(gpointer data)
{
    g_array_unref(data);
}

/* g_int64_hash() takes the lower half only, and there most keys are alike. */
static guint mix(gconstpointer key)
{
    return (guint)(*(const guint64 *)key * G_GUINT64_CONSTANT(0x9e3779b97f4a7c15) >> 32);
}

Calls *calls_new(void)
{
    Calls *calls = g_new0(Calls, 1);

    calls->nodes = g_array_new(FALSE, TRUE, sizeof(Node));
    calls->child = g_hash_table_new_full(mix, g_int64_equal, g_free, NULL);
    calls->stacks = g_hash_table_new_full(mix, g_int64_equal, g_free, free_stack);
    calls_set_phase(calls, 0);
    return calls;
}

void calls_free(Calls *calls)
{
    g_array_unref(calls->nodes);
    g_hash_table_unref(calls->child);
    g_hash_table_unref(calls->stacks);
    g_free(calls);
}

/* The roots have numbers of their own: those of the phases, counted down from the top. */
static guint child_of(Calls *calls, guint parent, guint symbol)
{
    gint64 key = (gint64)((guint64)parent << 32 | symbol);
    gpointer found = g_hash_table_lookup(calls->child, &key);
    Node node = {.parent = parent, .symbol = symbol, .phase = calls->phase};

    if (!found) {
        g_array_append_val(calls->nodes, node);
        found = GUINT_TO_POINTER(calls->nodes->len); /* one more than the index */
        g_hash_table_insert(calls->child, g_memdup2(&key, sizeof(key)), found);
    }
    return GPOINTER_TO_UINT(found) - 1;
}

static guint root_of(Calls *calls)
{
    return child_of(calls, G_MAXUINT - calls->phase, SYMBOL_NONE);
}

static GArray *stack_at(Calls *calls, guint64 sp)
{
    gint64 key = (gint64)(sp >> STACK_SHIFT);
    GArray *stack = g_hash_table_lookup(calls->stacks, &key);

    if (!stack) {
        stack = g_array_new(FALSE, TRUE, sizeof(Frame));
        g_hash_table_insert(calls->stacks, g_memdup2(&key, sizeof(key)), stack);
    }
    return stack;
}

/* The node of @stack's innermost frame in this phase; frames from an earlier one get new nodes. */
static guint top_node(Calls *calls, GArray *stack)
{
    guint node = root_of(calls);
    guint from = stack->len;

    while (from && g_array_index(stack, Frame, from - 1).phase != calls->phase) {
        from--;
    }
    if (from) {
        node = g_array_index(stack, Frame, from - 1).node;
    }
    for (; from < stack->len; from++) {
        Frame *frame = &g_array_index(stack, Frame, from);

        node = frame->node = child_of(calls, node, frame->symbol);
        frame->phase = calls->phase;
    }
    return node;
}

void calls_settle(Calls *calls, guint64 done)
{
    g_array_index(calls->nodes, Node, calls->node).self += done - calls->done;
    calls->done = done;
}

/* Drops the frames whose return addresses lie below @sp: they have returned. */
static GArray *unwind(Calls *calls, guint64 sp)
{
    GArray *stack = stack_at(calls, sp);
    guint len = stack->len;

    while (len && g_array_index(stack, Frame, len - 1).slot < sp) {
        len--;
    }
    g_array_set_size(stack, len);
    return stack;
}

/* Drops @symbol's frame at @sp, and what it called by jumps: the function has jumped to its start.
 */
static void drop_loop(GArray *stack, guint symbol, guint64 sp)
{
    for (guint i = stack->len; i && g_array_index(stack, Frame, i - 1).slot == sp; i--) {
        if (g_array_index(stack, Frame, i - 1).symbol == symbol) {
            g_array_set_size(stack, i - 1);
            return;
        }
    }
}

void calls_enter(Calls *calls, guint symbol, guint64 sp, guint64 done)
{
    GArray *stack;
    Frame frame = {.slot = sp, .symbol = symbol, .phase = calls->phase};

    calls_settle(calls, done);
    stack = unwind(calls, sp);
    drop_loop(stack, symbol, sp);
    frame.node = child_of(calls, top_node(calls, stack), symbol);
    g_array_append_val(stack, frame);
    calls->node = frame.node;
}

void calls_leave(Calls *calls, guint64 sp, guint64 done)
{
    calls_settle(calls, done);
    calls->node = top_node(calls, unwind(calls, sp + 1));
}

void calls_set_phase(Calls *calls, guint phase)
{
    calls->phase = phase;
    calls->node = root_of(calls);
}

static void print_path(const Calls *calls, FILE *file, const Symbols *symbols, const Node *node)
{
    if (node->symbol == SYMBOL_NONE) {
        return; /* a root */
    }
    print_path(calls, file, symbols, &g_array_index(calls->nodes, Node, node->parent));
    fprintf(file, ";%s", symbols_name(symbols, node->symbol));
}

void calls_print(const Calls *calls, FILE *file, const Symbols *symbols, const char *const *phases,
                 guint n_phases)
{
    for (guint i = 0; i < calls->nodes->len; i++) {
        const Node *node = &g_array_index(calls->nodes, Node, i);

        if (node->self && node->phase < n_phases) {
            fprintf(file, "stack %s", phases[node->phase]);
            print_path(calls, file, symbols, node);
            fprintf(file, " %" G_GUINT64_FORMAT "\n", node->self);
        }
    }
}
