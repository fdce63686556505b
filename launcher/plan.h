/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_PLAN_H
#define MICROVM_PLAN_H

#include "config.h"
#include "host.h"
#include "storage.h"

/*
 * The machine that a config describes: CPUs, memory, devices and their slots, kernel. Defaults live
 * here. Nothing in a Plan is quoted for anyone; argv.c does that.
 */

#define PLAN_ERROR (plan_error_quark())
GQuark plan_error_quark(void);

typedef enum {
    PLAN_ERROR_CONFIG,  /* the config asks for what cannot be; the message has file, line and key */
    PLAN_ERROR_OPTION,  /* an option of the command line is malformed */
    PLAN_ERROR_STORAGE, /* a volume cannot be resolved */
    PLAN_ERROR_KERNEL,  /* no kernel or initrd, or not one that boots here */
} PlanErrorCode;

/* The port by which a clone hears who it is, as the guest finds it in /dev/virtio-ports. */
#define PLAN_IDENTITY_PORT "org.microvm.identity.0"

/* What a clone's guest mounts by 9p, when it was given a directory of the host's. */
#define PLAN_MOUNT_TAG "microvm"

/*
 * Ids of guests that run for one command: above all that a config can have, and as long as a tap's
 * name has room for.
 */
#define PLAN_RUN_ID_MIN G_GUINT64_CONSTANT(1000000000)
#define PLAN_RUN_ID_MAX G_GUINT64_CONSTANT(3999999999)

/* A guest's memory where the config does not say it: Proxmox's. */
#define PLAN_MEMORY_MIB 512

/* What QEMU may have beside the guest's memory; TCG alone keeps up to 1 GiB of translated code. */
#define PLAN_OVERHEAD_MIB 2048

/*
 * What makes a guest one to be saved as a template, or the clone of one (docs/warm.md). Its disks
 * are qcow2 images named after their keys, in place of the config's volumes.
 */
typedef struct {
    const char *memory;  /* the file that is the guest's memory */
    gboolean clone;      /* what the guest writes stays out of ->memory; it does not outlive QEMU */
    const char *disks;   /* directory with KEY.qcow2 of the disks that the guest can write to */
    const char *bases;   /* the same for those that it can only read */
    const char *suffix;  /* clone: what is added to the config's name, "-201" */
    const char *vmgenid; /* the guest's generation, a UUID; NULL: no such device */
    const char *mount;   /* the directory that the guest may mount: an empty one, but see next */
    const char *mount_source; /* what it finds in place of ->mount; NULL: nothing */
    gboolean mount_writable;
    gboolean run;       /* for one command: an id of its own kind, and no network but by the next */
    gboolean user_net;  /* run: QEMU's user network, which the template has */
    const char *bridge; /* run: what net0 is connected to, whatever the config says; or NULL */
} PlanWarm;

/* What the command line adds to the config. Strings may be NULL where it says so. */
typedef struct {
    const char *id;              /* NULL: from the file's name, 114.conf */
    const char *qemu;            /* NULL: looked up */
    const char *kernel;          /* NULL: looked up */
    const char *initrd;          /* NULL: looked up */
    const char *runtime_dir;     /* NULL: host_runtime_dir() */
    const char *net;             /* "user[,hostfwd=…]…", or NULL: bridges */
    const char *force_machine;   /* instead of the config's machine type; or NULL */
    const char *force_cpu;       /* the value of -cpu; or NULL */
    const char *nets_host_mtu;   /* "net0=1500,net1=9000": instead of the config's; or NULL */
    const char *const *trailing; /* words for QEMU after "--", NULL-terminated; or NULL */
    const char *directory_cfg;   /* where shared directories are; or NULL */
    const char *virtiofsd;       /* NULL: looked up */
    const char *cpu_models;      /* where CPU models called custom-… are; NULL: Proxmox's file */
    const char *user;            /* whom QEMU runs as; NULL: HOST_ACCOUNT if root started us */
    gboolean daemonize;
    gboolean vsock;
    gboolean shares;      /* directories may come while the guest runs */
    gboolean no_limits;   /* cgroup limits are set by whoever started us */
    const PlanWarm *warm; /* microvm-ctl's; NULL: a guest like any other */
} PlanOptions;

/* A file that we open for QEMU, as a user who may not runs it. */
typedef struct {
    char *path;
    int flags;       /* of open() */
    const char *key; /* whose it is in the config; NULL: nobody's */
    unsigned line;
    int fd; /* what QEMU gets it as, and the number of QEMU's set of it */
} PlanFile;

/* A disk: throttle node over format node over the node of the file, device or network volume. */
typedef struct {
    char *key; /* "scsi0": the device's id */
    int index; /* 0 */
    unsigned line;
    char *volid; /* as the config has it; goes into node names */
    DiskSource *source;
    const PlanFile *file; /* NULL: QEMU opens it */
    gboolean cdrom, readonly;
    gboolean direct, no_flush; /* the nodes' cache.direct and cache.no-flush */
    gboolean write_through;    /* the device tells the guest that there is no write cache */
    const char *aio;           /* "io_uring", "native", "threads" */
    const char *discard;       /* "unmap", "ignore" */
    const char *detect_zeroes; /* "on", "off", "unmap" */
    char *rerror, *werror;     /* NULL: QEMU's default */
    char *serial;              /* decoded; NULL: none */
    gboolean iothread;
    guint queues;   /* 0: QEMU's default */
    GArray *limits; /* of PlanLimit, in the order of their names */
    int slot;
} PlanDisk;

typedef struct {
    const char *name; /* of QEMU's ThrottleLimits: "bps-total" */
    guint64 value;
} PlanLimit;

typedef struct {
    char *key; /* "net0": the id of device and netdev */
    int index;
    unsigned line;
    char mac[18];
    char *bridge;       /* NULL: QEMU's user network */
    char *ifname;       /* of the tap, at most 15 characters */
    NetVlans *vlans;    /* NULL: those that the bridge gives its ports */
    GPtrArray *hostfwd; /* user network: of char *, "tcp:127.0.0.1:2222-:22" */
    guint queues;       /* at least 1 */
    guint mtu;          /* told to the guest; 0: not told */
    guint64 rate;       /* bytes a second, each way; 0: no limit of ours */
    gboolean link_down; /* the tap is left down */
    gboolean was_user;  /* the state that is loaded has a user network, which must be there too */
    gboolean alone; /* connected to nothing: a tap under no bridge, or a user network shut off */
    gboolean vhost;
    int first_fd; /* taps at first_fd …, then as many vhost descriptors; -1: none of ours */
    int slot;
} PlanNic;

/* A directory of the host's, by virtiofs. */
typedef struct {
    char *key; /* "virtiofs0": the chardev's id and the device's */
    int index;
    unsigned line;
    char *tag;            /* what the guest mounts */
    char *path;           /* of the socket that virtiofsd listens on */
    char *directory;      /* NULL: virtiofsd runs already */
    GPtrArray *virtiofsd; /* its words, but for the socket; NULL likewise */
    int fd;               /* our end of the connection to it; -1 likewise */
    int slot;
} PlanShare;

typedef struct {
    int index;            /* 0: the ISA port ttyS0; 1 to 3: virtio consoles */
    char *device;         /* a host device; NULL: a socket at ->path */
    const PlanFile *file; /* the device; NULL: QEMU opens it */
    char *path;
} PlanSerial;

typedef struct {
    char *id, *name;
    char *config_file;
    char *qemu;
    char *runtime_dir, *pidfile, *qmp;
    gboolean daemonize;
    gboolean proxmox;    /* Proxmox's tools run the guest, and its scripts make the taps */
    gboolean pve_qemu;   /* QEMU is Proxmox's */
    const char *scripts; /* the directory of Proxmox's network scripts */
    gboolean sandbox;    /* QEMU may not start programs or change users */
    char *user;          /* whom QEMU runs as; NULL: whoever started us */
    GPtrArray *files;    /* of PlanFile *: what we open for that user */
    const PlanFile *kvm_file, *rng_file; /* NULL: QEMU opens it, if at all */
    guint64 cpu_max;                     /* µs of CPU time in each 100 ms; 0: no limit */
    guint64 cpu_weight;                  /* of cgroup v2; 0: none given */
    guint64 memory_max; /* bytes of the guest with all that serves it; 0: no limit */
    char *loadstate;    /* saved state to go on from; NULL: none */

    char *machine; /* "microvm", or a versioned name of it */
    gboolean kvm, acpi, ksm;
    gboolean kvmclock;      /* KVM, and the CPU tells the guest of its clock */
    gboolean legacy_timers; /* PIT and PIC: not needed by Linux with ACPI and kvmclock */
    gboolean isa_serial;    /* serial0, or a -serial in args */
    char *cpu;              /* model and flags as QEMU's -cpu takes them */
    guint sockets, cores, vcpus;
    char *affinity; /* host CPUs, "0,5,8-11"; NULL: all */
    unsigned affinity_line;
    guint64 memory_mib;
    guint hugepage_mib;      /* 0: no huge pages */
    char *hugepage_dir;      /* a hugetlbfs; NULL: by memfd */
    char *memory_file;       /* what the memory is kept in; NULL: nothing */
    gboolean memory_private; /* the file is only read, and what is written stays the process's */
    char *uuid;              /* NULL: none */
    char *vmgenid;           /* NULL: no such device */
    char *rtc_base;          /* "localtime" or a date; NULL: UTC now */
    gboolean rtc_driftfix;
    gboolean no_reboot, frozen;

    GPtrArray *disks, *nics, *serials; /* of PlanDisk, PlanNic, PlanSerial *, by their slots */
    GPtrArray *shares;                 /* of PlanShare * */
    int next_fd;                       /* descriptors below it are spoken for */

    char *agent;    /* socket path; NULL: no agent */
    char *identity; /* socket path of the port by which a clone hears who it is; NULL: none */
    gboolean balloon;
    int balloon_slot, serial_slot, rng_slot, vsock_slot, live_share_slot, mount_slot;
    gboolean live_shares; /* directories may come while the guest runs: live-share.h */
    char *mount;          /* what a 9p device of a template or clone shows; NULL: no such device */
    char *mount_source;   /* what is to be there, for QEMU alone; NULL: nothing */
    gboolean mount_writable;
    guint cid;              /* the guest's vsock address; 0: no vsock */
    int vsock_fd;           /* -1: QEMU opens the device */
    gboolean virtio_serial; /* agent or serial1 to serial3 */
    char *rng_source;       /* NULL: no rng */
    guint64 rng_max_bytes;  /* in every ->rng_period; 0: no limit */
    guint64 rng_period;     /* ms */

    char *modules; /* image with our kernel's modules; NULL: none */
    int modules_slot;
    char *kernel, *initrd, *append; /* each NULL: not ours to give */
    GPtrArray *check_files;         /* of char *: files named in args that must be there */
    gboolean own_firmware;          /* FALSE: args names a -bios */
    char **extra;                   /* words of args, then the trailing ones */
    GPtrArray *warnings;            /* of char *, one line each */
} Plan;

/* The guest's id, --id or the digits in "114.conf", to be freed; NULL with @error. */
char *plan_guest_id(const Config *config, const PlanOptions *options, GError **error);

/*
 * Makes the plan for @config, which schema_check() has passed. Looks at the machine only through
 * @host. Returns a Plan to free with plan_free(), or NULL with @error (PLAN_ERROR or HOST_ERROR).
 */
Plan *plan_new(const Config *config, const Storages *storages, const Host *host,
               const PlanOptions *options, GError **error);
void plan_free(Plan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Plan, plan_free)

#endif
