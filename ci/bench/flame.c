/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The flame graph: a box for each function on each call path, as wide as what it executed. */
#include "picture.h"

#include <string.h>

#define WIDTH 1200.0
#define ROW 16
#define LEAST 0.4 /* narrower ones are left out */
#define CHARACTER 6.6

typedef struct Node Node;
struct Node {
    char *name;
    guint64 whole; /* with all that it called */
    GPtrArray *children;
};

static void node_free(gpointer data)
{
    Node *node = data;

    g_free(node->name);
    g_ptr_array_unref(node->children);
    g_free(node);
}

static Node *node_new(const char *name)
{
    Node *node = g_new0(Node, 1);

    node->name = g_strdup(name);
    node->children = g_ptr_array_new_with_free_func(node_free);
    return node;
}

static Node *child(Node *node, const char *name)
{
    for (guint i = 0; i < node->children->len; i++) {
        Node *c = node->children->pdata[i];

        if (g_str_equal(c->name, name)) {
            return c;
        }
    }
    g_ptr_array_add(node->children, node_new(name));
    return node->children->pdata[node->children->len - 1];
}

/* Adds "A;B;C N". */
static void add_path(Node *node, const char *text)
{
    g_auto(GStrv) halves = g_strsplit(text, " ", 2);
    g_auto(GStrv) names = g_strsplit(halves[0], ";", -1);
    guint64 n = g_ascii_strtoull(halves[1], NULL, 10);

    node->whole += n;
    for (char **name = names; *name; name++) {
        node = child(node, *name);
        node->whole += n;
    }
}

static guint depth_of(const Node *node, double scale)
{
    guint deepest = 0;

    for (guint i = 0; i < node->children->len; i++) {
        const Node *c = node->children->pdata[i];

        if ((double)c->whole * scale >= LEAST) {
            deepest = MAX(deepest, 1 + depth_of(c, scale));
        }
    }
    return deepest;
}

/* A colour from yellow to red that a name always gets. */
static void write_box(GString *svg, const Node *node, double x, double y, double width, guint64 all)
{
    guint hash = g_str_hash(node->name);
    gsize room = (gsize)(width / CHARACTER);

    g_string_append_printf(svg,
                           "<g><title>%s: %" G_GUINT64_FORMAT
                           " instructions, %.2f%%</title><rect x=\"%.1f\" y=\"%.0f\" "
                           "width=\"%.1f\" height=\"%d\" fill=\"rgb(%u,%u,%u)\" stroke=\"white\" "
                           "stroke-width=\"0.5\"/>",
                           node->name, node->whole, 100.0 * (double)node->whole / (double)all, x, y,
                           width, ROW - 1, 225 + hash % 30, 110 + hash / 31 % 110,
                           40 + hash / 997 % 50);
    if (room > 3) {
        g_string_append_printf(svg, "<text x=\"%.1f\" y=\"%.0f\">%.*s</text>", x + 2, y + 11,
                               (int)room, node->name);
    }
    g_string_append(svg, "</g>\n");
}

static void write_node(GString *svg, const Node *node, double x, double y, double scale,
                       guint64 all)
{
    write_box(svg, node, x, y, (double)node->whole * scale, all);
    for (guint i = 0; i < node->children->len; i++) {
        const Node *c = node->children->pdata[i];

        if ((double)c->whole * scale >= LEAST) {
            write_node(svg, c, x, y - ROW, scale, all);
        }
        x += (double)c->whole * scale;
    }
}

gboolean picture_flame(const char *path, const char *title, const Counts *counts, GError **error)
{
    Node *root = node_new("all");
    g_autoptr(GString) svg = g_string_new(NULL);
    double scale;
    guint height;

    for (guint i = 0; i < counts->paths->len; i++) {
        add_path(root, counts->paths->pdata[i]);
    }
    scale = root->whole ? WIDTH / (double)root->whole : 0;
    height = (depth_of(root, scale) + 1) * ROW + 40;
    g_string_append_printf(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%u\" "
        "viewBox=\"0 0 %.0f %u\" font-family=\"monospace\" font-size=\"11\">\n"
        "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
        "<text x=\"10\" y=\"20\" font-size=\"15\">%s: who called whom; as wide as the "
        "instructions it took</text>\n",
        WIDTH, height, WIDTH, height, title);
    write_node(svg, root, 0, height - ROW, scale, root->whole);
    g_string_append(svg, "</svg>\n");
    node_free(root);
    return g_file_set_contents(path, svg->str, -1, error);
}
