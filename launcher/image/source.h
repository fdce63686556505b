/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_IMAGE_SOURCE_H
#define MICROVM_IMAGE_SOURCE_H

#include "image.h"

/* Where a tree comes from. */

/* Tells what ->source is: sets ->kind and ->name. */
gboolean source_recognise(Request *request, GError **error);

/* Whether the programs that the source and the disk want are there. */
gboolean source_check_tools(const Request *request, GError **error);

/* Suites: sets @request's mirror to what apt on this host is set up with. */
gboolean suite_find_mirror(Request *request, GError **error);

/*
 * Suites: fetches the packages into the cache, where a fetch that broke goes on, and makes a
 * tarball of them there, unless one is there. Needs no rights. suite_tarball() is its name, to be
 * freed.
 */
gboolean suite_fetch(const Request *request, GError **error);
char *suite_tarball(const Request *request);

/*
 * OCI images: oci_fetch() has them in the cache as a layout, in which the layers that an earlier
 * fetch has brought stay; oci_unpack() makes the directory @bundle of it, whose root is
 * @bundle/rootfs. oci_run() returns what container-init is to run, or NULL with @error.
 */
gboolean oci_fetch(const Request *request, GError **error);
gboolean oci_unpack(const Request *request, const char *bundle, GError **error);
GBytes *oci_run(const char *bundle, GError **error);

/* A file in the cache, to be freed. */
char *source_cache_path(const Request *request, const char *name);

#endif
