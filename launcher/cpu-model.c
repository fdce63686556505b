/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cpu-model.h"

#include <string.h>

#include "config.h"
#include "schema.h"
#include "section.h"

G_DEFINE_QUARK(cpu - model - error - quark, cpu_model_error)

/* clang-format off */
static const char *const intel[] = {
    "486", "pentium", "pentium2", "pentium3", "coreduo", "core2duo", "Conroe", "Penryn", "Nehalem",
    "Nehalem-IBRS", "Westmere", "Westmere-IBRS", "SandyBridge", "SandyBridge-IBRS", "IvyBridge",
    "IvyBridge-IBRS", "Haswell", "Haswell-IBRS", "Haswell-noTSX", "Haswell-noTSX-IBRS",
    "Broadwell", "Broadwell-IBRS", "Broadwell-noTSX", "Broadwell-noTSX-IBRS", "Skylake-Client",
    "Skylake-Client-IBRS", "Skylake-Client-noTSX-IBRS", "Skylake-Client-v4", "Skylake-Server",
    "Skylake-Server-IBRS", "Skylake-Server-noTSX-IBRS", "Skylake-Server-v4", "Skylake-Server-v5",
    "Cascadelake-Server", "Cascadelake-Server-v2", "Cascadelake-Server-noTSX",
    "Cascadelake-Server-v4", "Cascadelake-Server-v5", "Cooperlake", "Cooperlake-v2",
    "KnightsMill", "Icelake-Client", "Icelake-Client-noTSX", "Icelake-Server",
    "Icelake-Server-noTSX", "Icelake-Server-v3", "Icelake-Server-v4", "Icelake-Server-v5",
    "Icelake-Server-v6", "Icelake-Server-v7", "SapphireRapids", "SapphireRapids-v2",
    "SapphireRapids-v3", "SapphireRapids-v4", "GraniteRapids", "GraniteRapids-v2",
    "GraniteRapids-v3", "SierraForest", "SierraForest-v2", "SierraForest-v3", "ClearwaterForest",
    NULL,
};
static const char *const amd[] = {
    "athlon", "phenom", "Opteron_G1", "Opteron_G2", "Opteron_G3", "Opteron_G4", "Opteron_G5",
    "EPYC", "EPYC-IBPB", "EPYC-v3", "EPYC-v4", "EPYC-v5", "EPYC-Rome", "EPYC-Rome-v2",
    "EPYC-Rome-v3", "EPYC-Rome-v4", "EPYC-Rome-v5", "EPYC-Milan", "EPYC-Milan-v2",
    "EPYC-Milan-v3", "EPYC-Genoa", "EPYC-Genoa-v2", "EPYC-Turin", NULL,
};
static const char *const of_the_host[] = {
    "host", "kvm32", "kvm64", "qemu32", "qemu64", "max", NULL,
};
/* clang-format on */

const char *cpu_model_vendor(const char *name)
{
    if (g_strv_contains(intel, name))
        return "GenuineIntel";
    return g_strv_contains(amd, name) ? "AuthenticAMD" : NULL;
}

gboolean cpu_model_is_known(const char *name)
{
    return cpu_model_vendor(name) || g_strv_contains(of_the_host, name);
}

/* Proxmox asks no more of a name than that it is one word. */
static gboolean any_id(const char *id)
{
    (void)id;
    return TRUE;
}

/* Whether Proxmox would take "@key @value" into a model. */
static gboolean good_property(const char *key, const char *value, GError **error)
{
    g_autofree char *text = g_strdup_printf("%s=%s", key, value);
    g_autoptr(PropStr) props = NULL;

    if (strpbrk(value, ", \t\r")) {
        g_autofree char *quoted = propstr_quote(value);

        g_set_error(error, CPU_MODEL_ERROR, CPU_MODEL_ERROR_UNKNOWN, "%s has more than one value",
                    quoted);
        return FALSE;
    }
    props = propstr_parse(text, schema_cpu_model, error);
    return props && schema_check_cpu_model(props, error);
}

static PropStr *model_of(const char *file, const Section *section, GPtrArray *warnings)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GList) keys =
        g_list_sort(g_hash_table_get_keys(section->props), (GCompareFunc)strcmp);

    for (GList *key = keys; key; key = key->next) {
        const char *value = g_hash_table_lookup(section->props, key->data);
        g_autoptr(GError) error = NULL;

        if (good_property(key->data, value, &error))
            g_string_append_printf(text, "%s%s=%s", text->len ? "," : "", (char *)key->data, value);
        else
            g_ptr_array_add(warnings, g_strdup_printf("%s: cpu-model '%s': %s, dropped", file,
                                                      section->id, error->message));
    }
    return propstr_parse(text->str, schema_cpu_model, NULL);
}

PropStr *cpu_model_find(const char *file, const char *name, GPtrArray *warnings, GError **error)
{
    gsize len;
    g_autofree char *text = config_read_text(file, &len, error);
    g_autoptr(GHashTable) sections =
        text ? sections_parse(file, text, len, any_id, warnings, error) : NULL;
    const Section *section = sections ? g_hash_table_lookup(sections, name) : NULL;

    if (section && strcmp(section->type, "cpu-model") == 0)
        return model_of(file, section, warnings);
    if (sections)
        g_set_error(error, CPU_MODEL_ERROR, CPU_MODEL_ERROR_UNKNOWN, "%s has no 'cpu-model: %s'",
                    file, name);
    return NULL;
}
