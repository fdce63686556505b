/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "picture.h"

#include <cairo-svg.h>
#include <gio/gio.h>
#include <math.h>
#include <string.h>

#define WIDTH 900
#define LEFT 110  /* for names */
#define RIGHT 60  /* for numbers after bars */
#define TOP 60    /* for title and legend */
#define BOTTOM 50 /* for the axis */
#define ROW 34
#define FONT 13
#define PNG_SCALE 1.5

typedef struct {
    double r, g, b;
} Colour;

/* From dark to light, so that they differ without colour too; told apart by colour-blind eyes. */
static const Colour colours[] = {
    {0.05, 0.10, 0.35}, {0.55, 0.10, 0.30}, {0.15, 0.45, 0.70},
    {0.90, 0.50, 0.10}, {0.55, 0.80, 0.55}, {0.98, 0.93, 0.60},
};

typedef void (*Draw)(cairo_t *cr, GPtrArray *results);

static void use(cairo_t *cr, gsize index)
{
    const Colour *c = &colours[index % G_N_ELEMENTS(colours)];

    cairo_set_source_rgb(cr, c->r, c->g, c->b);
}

static void black(cairo_t *cr)
{
    cairo_set_source_rgb(cr, 0, 0, 0);
}

/* @align: 0 for text that begins at @x, 0.5 for its middle there, 1 for its end. */
static void text_at(cairo_t *cr, double x, double y, double align, const char *text)
{
    cairo_text_extents_t extents;

    cairo_text_extents(cr, text, &extents);
    cairo_move_to(cr, x - align * extents.x_advance, y);
    cairo_show_text(cr, text);
}

static void title(cairo_t *cr, const char *text)
{
    black(cr);
    cairo_set_font_size(cr, FONT + 3);
    text_at(cr, 10, 22, 0, text);
    cairo_set_font_size(cr, FONT);
}

static void box(cairo_t *cr, double x, double y, double width, double height, gsize colour)
{
    cairo_rectangle(cr, x, y, width, height);
    use(cr, colour);
    cairo_fill_preserve(cr);
    black(cr);
    cairo_set_line_width(cr, 0.5);
    cairo_stroke(cr);
}

static double legend(cairo_t *cr, double x, gsize colour, const char *name)
{
    cairo_text_extents_t extents;

    box(cr, x, 36, 12, 12, colour);
    text_at(cr, x + 18, 47, 0, name);
    cairo_text_extents(cr, name, &extents);
    return x + 18 + extents.x_advance + 20;
}

/* A step of 1, 2 or 5 times a power of ten that divides @range into about six. */
static double step_of(double range)
{
    double power = pow(10, floor(log10(range / 6))), rest = range / 6 / power;

    return power * (rest > 5 ? 10 : rest > 2 ? 5 : rest > 1 ? 2 : 1);
}

static void axis(cairo_t *cr, double x, double y, double width, double most, double top,
                 const char *label)
{
    double step = step_of(most);

    for (double at = 0; at <= most; at += step) {
        g_autofree char *number = g_strdup_printf("%g", at);
        double px = x + width * at / most;

        cairo_set_source_rgb(cr, 0.8, 0.8, 0.8);
        cairo_set_line_width(cr, 0.5);
        cairo_move_to(cr, px, top);
        cairo_line_to(cr, px, y);
        cairo_stroke(cr);
        black(cr);
        text_at(cr, px, y + 16, 0.5, number);
    }
    text_at(cr, x + width / 2, y + 36, 0.5, label);
}

static gboolean write_one(cairo_surface_t *surface, Draw draw, GPtrArray *results, int height,
                          double scale)
{
    cairo_t *cr = cairo_create(surface);
    gboolean ok;

    cairo_scale(cr, scale, scale);
    cairo_set_source_rgb(cr, 1, 1, 1);
    cairo_rectangle(cr, 0, 0, WIDTH, height);
    cairo_fill(cr);
    cairo_select_font_face(cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cr, FONT);
    draw(cr, results);
    ok = cairo_status(cr) == CAIRO_STATUS_SUCCESS;
    cairo_destroy(cr);
    return ok;
}

static gboolean write_both(const char *base, int height, Draw draw, GPtrArray *results,
                           GError **error)
{
    g_autofree char *svg = g_strconcat(base, ".svg", NULL), *png = g_strconcat(base, ".png", NULL);
    cairo_surface_t *vector = cairo_svg_surface_create(svg, WIDTH, height);
    cairo_surface_t *pixels = cairo_image_surface_create(
        CAIRO_FORMAT_RGB24, (int)(WIDTH * PNG_SCALE), (int)(height * PNG_SCALE));
    gboolean ok = write_one(vector, draw, results, height, 1) &&
                  write_one(pixels, draw, results, height, PNG_SCALE) &&
                  cairo_surface_write_to_png(pixels, png) == CAIRO_STATUS_SUCCESS;

    cairo_surface_finish(vector);
    ok = ok && cairo_surface_status(vector) == CAIRO_STATUS_SUCCESS;
    cairo_surface_destroy(vector);
    cairo_surface_destroy(pixels);
    if (!ok) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s: cannot write the picture", base);
    }
    return ok;
}

/* -- phases */

static const char *const phase_names[] = {"firmware", "loader", "decompression",
                                          "kernel",   "initrd", "init"};

static gsize phase_colour(const char *name)
{
    gsize i = 0;

    while (i < G_N_ELEMENTS(phase_names) && !g_str_equal(name, phase_names[i])) {
        i++;
    }
    return i;
}

static double millions(const Result *result)
{
    return (double)counts_instructions(result->counts) / 1e6;
}

static int by_millions(gconstpointer a, gconstpointer b)
{
    double x = millions(*(Result *const *)a), y = millions(*(Result *const *)b);

    return x < y ? -1 : x > y;
}

/*
 * What takes many times as much as most do has a panel of its own with a coarser axis, or nothing
 * would be seen of the others. *@large is that panel's, and may be empty.
 */
static GPtrArray *small_ones(GPtrArray *results, GPtrArray **large)
{
    g_autoptr(GPtrArray) order = g_ptr_array_copy(results, NULL, NULL);
    GPtrArray *small = g_ptr_array_new();
    double limit;

    g_ptr_array_set_free_func(order, NULL);
    g_ptr_array_sort(order, by_millions);
    limit = 3 * millions(order->pdata[order->len / 2]);
    *large = g_ptr_array_new();
    for (guint i = 0; i < results->len; i++) {
        g_ptr_array_add(millions(results->pdata[i]) > limit ? *large : small, results->pdata[i]);
    }
    return small;
}

static void draw_bar(cairo_t *cr, const Result *result, double y, double scale)
{
    g_autofree char *sum = g_strdup_printf("%.1f", millions(result));
    double at = LEFT;

    text_at(cr, LEFT - 8, y + 16, 1, result->name);
    for (guint k = 0; k < result->counts->phases->len; k++) {
        const PhaseCounts *phase = result->counts->phases->pdata[k];
        double part = (double)phase->instructions / 1e6 * scale;

        box(cr, at, y, part, ROW - 12, phase_colour(phase->name));
        at += part;
    }
    text_at(cr, at + 6, y + 16, 0, sum);
}

static int panel_of_bars_height(GPtrArray *results)
{
    return results->len ? ROW * (int)results->len + BOTTOM : 0;
}

static void draw_bars(cairo_t *cr, GPtrArray *results, double top)
{
    double most = 1, width = WIDTH - LEFT - RIGHT;

    for (guint i = 0; i < results->len; i++) {
        most = MAX(most, millions(results->pdata[i]));
    }
    if (results->len) {
        axis(cr, LEFT, top + ROW * results->len, width, most, top, "million guest instructions");
    }
    for (guint i = 0; i < results->len; i++) {
        draw_bar(cr, results->pdata[i], top + ROW * i + 6, width / most);
    }
}

static void draw_phases(cairo_t *cr, GPtrArray *results)
{
    g_autoptr(GPtrArray) large = NULL;
    g_autoptr(GPtrArray) small = small_ones(results, &large);
    double x = LEFT;

    title(cr, "What a boot executes, from reset to the root's init being ready");
    for (gsize i = 0; i < G_N_ELEMENTS(phase_names); i++) {
        x = legend(cr, x, i, phase_names[i]);
    }
    draw_bars(cr, small, TOP);
    draw_bars(cr, large, TOP + panel_of_bars_height(small));
}

gboolean picture_phases(const char *base, GPtrArray *results, GError **error)
{
    g_autoptr(GPtrArray) large = NULL;
    g_autoptr(GPtrArray) small = small_ones(results, &large);

    return write_both(base, TOP + panel_of_bars_height(small) + panel_of_bars_height(large),
                      draw_phases, results, error);
}

/* -- devices: a panel each, their bars on one logarithmic axis */

#define PANEL_ROW 18
#define PANEL_TITLE 26
#define PANEL_AXIS 32
#define DECADES 5
#define ONE 0.15 /* where the axis has its 1, in decades: a bar of 1 is seen */

/* Accesses of all phases by device, without those that leave no trace outside the CPU. */
static GHashTable *by_device(const Counts *counts)
{
    GHashTable *table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    for (guint i = 0; i < counts->phases->len; i++) {
        const PhaseCounts *phase = counts->phases->pdata[i];
        GHashTableIter iter;
        gpointer key, value;

        g_hash_table_iter_init(&iter, phase->accesses);
        while (g_hash_table_iter_next(&iter, &key, &value)) {
            if (!g_str_equal(key, "rdtsc") && !g_str_equal(key, "cr3")) {
                counts_add(table, key, *(guint64 *)value);
            }
        }
    }
    return table;
}

static gsize access_colour(const char *access)
{
    return g_str_has_prefix(access, "port ") ? 3 : g_str_has_prefix(access, "mmio ") ? 2 : 5;
}

static int panel_height(const Result *result)
{
    g_autoptr(GHashTable) table = by_device(result->counts);

    return PANEL_TITLE + PANEL_ROW * (int)g_hash_table_size(table) + PANEL_AXIS;
}

/* The panels stand in two columns; the next one goes where there is more room. */
static double place(double heights[2], const Result *result, int *column)
{
    double y;

    *column = heights[1] < heights[0];
    y = heights[*column];
    heights[*column] += panel_height(result);
    return y;
}

static double log_x(double number, double width)
{
    return (log10(number) + ONE) / DECADES * width;
}

/* Lines and numbers at the powers of ten, for bars from @x on, between @top and @bottom. */
static void log_axis(cairo_t *cr, double x, double width, double top, double bottom)
{
    guint64 power = 1;

    for (int i = 0; i < DECADES; i++, power *= 10) {
        g_autofree char *number = g_strdup_printf("%" G_GUINT64_FORMAT, power);
        double at = x + log_x((double)power, width);

        cairo_set_source_rgb(cr, 0.8, 0.8, 0.8);
        cairo_set_line_width(cr, 0.5);
        cairo_move_to(cr, at, top);
        cairo_line_to(cr, at, bottom);
        cairo_stroke(cr);
        black(cr);
        text_at(cr, at, bottom + 13, 0.5, number);
    }
}

static void draw_panel(cairo_t *cr, const Result *result, double left, double y)
{
    const double width = WIDTH / 2.0 - 150 - 70, bars = left + 150;
    g_autoptr(GHashTable) table = by_device(result->counts);
    g_autoptr(GPtrArray) keys = counts_order(table);

    black(cr);
    cairo_set_font_size(cr, FONT + 1);
    text_at(cr, bars, y + 16, 0, result->name);
    cairo_set_font_size(cr, FONT - 1);
    log_axis(cr, bars, width, y + PANEL_TITLE - 2, y + PANEL_TITLE + PANEL_ROW * keys->len);
    for (guint i = 0; i < keys->len; i++) {
        guint64 n = counts_get(table, keys->pdata[i]);
        double length = log_x((double)n, width);
        double at = y + PANEL_TITLE + PANEL_ROW * i;
        g_autofree char *number = g_strdup_printf("%" G_GUINT64_FORMAT, n);

        text_at(cr, bars - 6, at + 11, 1, keys->pdata[i]);
        box(cr, bars, at, length, PANEL_ROW - 5, access_colour(keys->pdata[i]));
        text_at(cr, bars + length + 5, at + 11, 0, number);
    }
    cairo_set_font_size(cr, FONT);
}

static void draw_devices(cairo_t *cr, GPtrArray *results)
{
    double heights[2] = {TOP, TOP}, x = 20;

    title(cr, "What a boot accesses: number of accesses, on a logarithmic scale");
    x = legend(cr, x, 3, "I/O ports");
    x = legend(cr, x, 2, "device memory");
    legend(cr, x, 5, "instructions that leave the guest");
    for (guint i = 0; i < results->len; i++) {
        int column;
        double y = place(heights, results->pdata[i], &column);

        draw_panel(cr, results->pdata[i], column ? WIDTH / 2.0 : 0, y);
    }
}

gboolean picture_devices(const char *base, GPtrArray *results, GError **error)
{
    double heights[2] = {TOP, TOP};

    for (guint i = 0; i < results->len; i++) {
        int column;

        place(heights, results->pdata[i], &column);
    }
    return write_both(base, (int)MAX(heights[0], heights[1]), draw_devices, results, error);
}

/* -- history */

#define HISTORY_HEIGHT 460
#define LABELS 80 /* below the lines: a commit and its date */
#define MARK 5

static JsonArray *accepted_of(const Result *result)
{
    return result->baseline ? result->baseline->accepted : NULL;
}

static guint accepted_number(const Result *result)
{
    return accepted_of(result) ? json_array_get_length(accepted_of(result)) : 0;
}

static const char *accepted_text(const Result *result, guint i, const char *name)
{
    return json_object_get_string_member_with_default(
        json_array_get_object_element(accepted_of(result), i), name, "");
}

static double accepted(const Result *result, guint i)
{
    return (double)json_object_get_int_member_with_default(
               json_array_get_object_element(accepted_of(result), i), "instructions", 0) /
           1e6;
}

/* Each line has marks of a form of its own, for those who see no colour. */
static void mark(cairo_t *cr, double x, double y, guint index)
{
    static const double corners[] = {4, 32, 3, 4, 3, 4}, turned[] = {0.5, 0, 0.5, 0, 1.5, 0.25};
    guint form = index % G_N_ELEMENTS(corners);

    cairo_new_path(cr);
    for (guint i = 0; i < (guint)corners[form]; i++) {
        double angle = 2 * G_PI * (i + turned[form]) / corners[form] - (form == 2 ? G_PI / 6 : 0);

        cairo_line_to(cr, x + MARK * 1.2 * cos(angle), y + MARK * 1.2 * sin(angle));
    }
    cairo_close_path(cr);
    use(cr, index);
    cairo_fill_preserve(cr);
    black(cr);
    cairo_set_line_width(cr, 0.7);
    cairo_stroke(cr);
}

/* Where the @i-th of @n accepted changes stands, the newest at the right. */
static double change_x(guint i, guint n, guint longest)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * (i + 0.5 + longest - n) / longest;
}

static void history_line(cairo_t *cr, const Result *result, gsize colour, guint longest,
                         double most)
{
    const double dashes[] = {3.0 + 3.0 * (double)colour, 3};
    const double height = HISTORY_HEIGHT - TOP - LABELS;
    guint n = accepted_number(result);

    for (guint i = 0; i + 1 < n; i++) {
        cairo_move_to(cr, change_x(i, n, longest), TOP + height * (1 - accepted(result, i) / most));
        cairo_line_to(cr, change_x(i + 1, n, longest),
                      TOP + height * (1 - accepted(result, i + 1) / most));
        use(cr, colour);
        cairo_set_line_width(cr, 2);
        cairo_set_dash(cr, dashes, colour ? 2 : 0, 0);
        cairo_stroke(cr);
        cairo_set_dash(cr, NULL, 0, 0);
    }
    for (guint i = 0; i < n; i++) {
        mark(cr, change_x(i, n, longest), TOP + height * (1 - accepted(result, i) / most),
             (guint)colour);
    }
}

/* The commits that the changes came after, and the days. */
static void history_labels(cairo_t *cr, const Result *result, double bottom)
{
    guint n = accepted_number(result);

    cairo_set_font_size(cr, FONT - 2);
    for (guint i = 0; i < n; i++) {
        g_autofree char *day = g_strndup(accepted_text(result, i, "date"), strlen("2026-01-01"));
        g_autofree char *commit = g_strndup(accepted_text(result, i, "commit"), 7);

        text_at(cr, change_x(i, n, n), bottom + 16, 0.5, commit);
        text_at(cr, change_x(i, n, n), bottom + 30, 0.5, day);
    }
    cairo_set_font_size(cr, FONT);
    text_at(cr, WIDTH / 2.0, bottom + 56, 0.5,
            "the commit that a change was accepted after, and the day; the reasons are in "
            "ci/baselines");
}

static void history_axis(cairo_t *cr, double most, double bottom)
{
    for (double at = 0; at <= most; at += step_of(most)) {
        g_autofree char *number = g_strdup_printf("%g", at);
        double y = bottom - (bottom - TOP) * at / most;

        cairo_set_source_rgb(cr, 0.8, 0.8, 0.8);
        cairo_set_line_width(cr, 0.5);
        cairo_move_to(cr, LEFT, y);
        cairo_line_to(cr, WIDTH - RIGHT, y);
        cairo_stroke(cr);
        black(cr);
        text_at(cr, LEFT - 8, y + 4, 1, number);
    }
}

static double history_legend(cairo_t *cr, double x, guint index, const char *name)
{
    cairo_text_extents_t extents;

    mark(cr, x + 6, 42, index);
    text_at(cr, x + 18, 47, 0, name);
    cairo_text_extents(cr, name, &extents);
    return x + 18 + extents.x_advance + 20;
}

static void draw_history(cairo_t *cr, GPtrArray *results)
{
    const double bottom = HISTORY_HEIGHT - LABELS;
    const Result *longest = results->pdata[0];
    double most = 1, x = LEFT;

    for (guint i = 0; i < results->len; i++) {
        const Result *result = results->pdata[i];

        longest = accepted_number(result) > accepted_number(longest) ? result : longest;
        for (guint k = 0; k < accepted_number(result); k++) {
            most = MAX(most, accepted(result, k) * 1.05);
        }
    }
    title(cr, "Accepted changes: million guest instructions of a boot");
    history_axis(cr, most, bottom);
    history_labels(cr, longest, bottom);
    for (guint i = 0; i < results->len; i++) {
        const Result *result = results->pdata[i];

        if (accepted_number(result)) {
            history_line(cr, result, i, accepted_number(longest), most);
            x = history_legend(cr, x, i, result->name);
        }
    }
}

gboolean picture_history(const char *base, GPtrArray *results, GError **error)
{
    return write_both(base, HISTORY_HEIGHT, draw_history, results, error);
}
