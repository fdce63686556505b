/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "schema.h"

/* The sub-keys that values may have, as qemu-server's schemas have them. */

#define DEFAULT_KEY(n, ...)                          \
    {                                                \
        .name = (n), .is_default = TRUE, __VA_ARGS__ \
    }
#define OPTIONAL(n, t, ...)                                       \
    {                                                             \
        .name = (n), .type = (t), .optional = TRUE, ##__VA_ARGS__ \
    }
#define STRING(n, ...) OPTIONAL(n, PROP_STRING, ##__VA_ARGS__)
#define BOOLEAN(n) OPTIONAL(n, PROP_BOOLEAN)
#define INTEGER(n, lo, hi) OPTIONAL(n, PROP_INTEGER, .min = (lo), .max = (hi))
#define NUMBER(n) OPTIONAL(n, PROP_NUMBER)
#define ENUM(n, c) OPTIONAL(n, PROP_ENUM, .choices = (c))
#define ALIAS(n, of)               \
    {                              \
        .name = (n), .alias = (of) \
    }
#define NIC_MODEL(n)                                          \
    {                                                         \
        .name = (n), .alias = "macaddr", .key_alias = "model" \
    }
#define END          \
    {                \
        .name = NULL \
    }

static const char *const nic_models[] = {
    "e1000",  "e1000-82540em", "e1000-82544gc", "e1000-82545em", "e1000e",
    "i82551", "i82557b",       "i82559er",      "ne2k_isa",      "ne2k_pci",
    "pcnet",  "rtl8139",       "virtio",        "vmxnet3",       NULL};
static const char *const cdrom_disk[] = {"cdrom", "disk", NULL};
static const char *const translations[] = {"none", "lba", "auto", NULL};
static const char *const caches[] = {"none",   "writethrough", "writeback",
                                     "unsafe", "directsync",   NULL};
static const char *const image_formats[] = {"raw", "qcow", "qed", "qcow2", "vmdk", "cloop", NULL};
static const char *const read_errors[] = {"ignore", "report", "stop", NULL};
static const char *const write_errors[] = {"enospc", "ignore", "report", "stop", NULL};
static const char *const aios[] = {"native", "threads", "io_uring", NULL};
static const char *const discards[] = {"ignore", "on", NULL};
static const char *const iommus[] = {"intel", "virtio", NULL};
static const char *const agent_types[] = {"virtio", "isa", NULL};
static const char *const displays[] = {"cirrus", "none",    "qxl",       "qxl2",    "qxl3",
                                       "qxl4",   "serial0", "serial1",   "serial2", "serial3",
                                       "std",    "virtio",  "virtio-gl", "vmware",  NULL};
static const char *const clipboards[] = {"vnc", NULL};
static const char *const rng_sources[] = {"/dev/urandom", "/dev/random", "/dev/hwrng", NULL};
static const char *const fs_caches[] = {"auto", "always", "metadata", "never", NULL};

const PropSpec schema_memory[] = {
    DEFAULT_KEY("current", .type = PROP_INTEGER, .min = 16, .max = G_MAXINT64),
    END,
};

const PropSpec schema_net[] = {
    DEFAULT_KEY("model", .type = PROP_ENUM, .choices = nic_models),
    OPTIONAL("macaddr", PROP_MAC),
    NIC_MODEL("e1000"),
    NIC_MODEL("e1000-82540em"),
    NIC_MODEL("e1000-82544gc"),
    NIC_MODEL("e1000-82545em"),
    NIC_MODEL("e1000e"),
    NIC_MODEL("i82551"),
    NIC_MODEL("i82557b"),
    NIC_MODEL("i82559er"),
    NIC_MODEL("ne2k_isa"),
    NIC_MODEL("ne2k_pci"),
    NIC_MODEL("pcnet"),
    NIC_MODEL("rtl8139"),
    NIC_MODEL("virtio"),
    NIC_MODEL("vmxnet3"),
    STRING("bridge"),
    INTEGER("queues", 0, 64),
    INTEGER("mtu", 1, 65520),
    NUMBER("rate"),
    INTEGER("tag", 1, 4094),
    STRING("trunks"),
    BOOLEAN("firewall"),
    BOOLEAN("link_down"),
    END,
};

const PropSpec schema_drive[] = {
    DEFAULT_KEY("file", .type = PROP_STRING),
    ALIAS("volume", "file"),
    ENUM("media", cdrom_disk),
    ENUM("cache", caches),
    ENUM("format", image_formats),
    ENUM("aio", aios),
    ENUM("discard", discards),
    BOOLEAN("detect_zeroes"),
    OPTIONAL("serial", PROP_URLENCODED, .max = 60),
    ENUM("rerror", read_errors),
    ENUM("werror", write_errors),
    BOOLEAN("iothread"),
    BOOLEAN("ro"),
    INTEGER("queues", 2, G_MAXINT64),
    NUMBER("mbps"),
    NUMBER("mbps_rd"),
    NUMBER("mbps_wr"),
    NUMBER("mbps_max"),
    NUMBER("mbps_rd_max"),
    NUMBER("mbps_wr_max"),
    INTEGER("bps", 0, 0),
    INTEGER("bps_rd", 0, 0),
    INTEGER("bps_wr", 0, 0),
    INTEGER("bps_max_length", 1, G_MAXINT64),
    INTEGER("bps_rd_max_length", 1, G_MAXINT64),
    INTEGER("bps_wr_max_length", 1, G_MAXINT64),
    ALIAS("bps_rd_length", "bps_rd_max_length"),
    ALIAS("bps_wr_length", "bps_wr_max_length"),
    INTEGER("iops", 0, 0),
    INTEGER("iops_rd", 0, 0),
    INTEGER("iops_wr", 0, 0),
    INTEGER("iops_max", 0, 0),
    INTEGER("iops_rd_max", 0, 0),
    INTEGER("iops_wr_max", 0, 0),
    INTEGER("iops_max_length", 1, G_MAXINT64),
    INTEGER("iops_rd_max_length", 1, G_MAXINT64),
    INTEGER("iops_wr_max_length", 1, G_MAXINT64),
    ALIAS("iops_rd_length", "iops_rd_max_length"),
    ALIAS("iops_wr_length", "iops_wr_max_length"),
    OPTIONAL("size", PROP_SIZE),
    BOOLEAN("backup"),
    BOOLEAN("replicate"),
    BOOLEAN("shared"),
    BOOLEAN("snapshot"),
    INTEGER("cyls", 0, 0),
    INTEGER("heads", 0, 0),
    INTEGER("secs", 0, 0),
    ENUM("trans", translations),
    OPTIONAL("model", PROP_URLENCODED, .max = 120),
    STRING("product", .max = 16),
    STRING("vendor", .max = 8),
    BOOLEAN("scsiblock"),
    BOOLEAN("ssd"),
    STRING("wwn"),
    END,
};

const PropSpec schema_machine[] = {
    DEFAULT_KEY("type", .type = PROP_STRING, .optional = TRUE),
    ENUM("viommu", iommus),
    OPTIONAL("aw-bits", PROP_NUMBER, .min = 32, .max = 64),
    BOOLEAN("enable-s3"),
    BOOLEAN("enable-s4"),
    END,
};

const PropSpec schema_cpu[] = {
    DEFAULT_KEY("cputype", .type = PROP_STRING),
    STRING("flags"),
    BOOLEAN("hidden"),
    STRING("hv-vendor-id", .max = 12),
    INTEGER("guest-phys-bits", 32, 64),
    STRING("phys-bits"),
    INTEGER("level", 0, 0),
    END,
};

const PropSpec schema_cpu_model[] = {
    STRING("reported-model"),
    STRING("flags"),
    BOOLEAN("hidden"),
    STRING("hv-vendor-id", .max = 12),
    INTEGER("guest-phys-bits", 32, 64),
    STRING("phys-bits"),
    END,
};

const PropSpec schema_agent[] = {
    DEFAULT_KEY("enabled", .type = PROP_BOOLEAN),
    ENUM("type", agent_types),
    BOOLEAN("fstrim_cloned_disks"),
    BOOLEAN("freeze-fs"),
    ALIAS("freeze-fs-on-backup", "freeze-fs"),
    ALIAS("guest-fsfreeze", "freeze-fs"),
    END,
};

const PropSpec schema_vga[] = {
    DEFAULT_KEY("type", .type = PROP_ENUM, .choices = displays, .optional = TRUE),
    INTEGER("memory", 4, 512),
    ENUM("clipboard", clipboards),
    END,
};

const PropSpec schema_rng[] = {
    DEFAULT_KEY("source", .type = PROP_ENUM, .choices = rng_sources),
    INTEGER("max_bytes", 0, 0),
    INTEGER("period", 0, 0),
    END,
};

const PropSpec schema_boot[] = {
    DEFAULT_KEY("legacy", .type = PROP_STRING, .optional = TRUE),
    STRING("order"),
    END,
};

const PropSpec schema_smbios1[] = {
    STRING("uuid"),         STRING("version"), STRING("serial"),
    STRING("manufacturer"), STRING("product"), STRING("sku"),
    STRING("family"),       BOOLEAN("base64"), END,
};

const PropSpec schema_virtiofs[] = {
    DEFAULT_KEY("dirid", .type = PROP_STRING),
    ENUM("cache", fs_caches),
    BOOLEAN("direct-io"),
    BOOLEAN("expose-acl"),
    BOOLEAN("expose-xattr"),
    END,
};
