/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_IMAGE_WORK_H
#define MICROVM_IMAGE_WORK_H

#include "image.h"

/* Makes the tree in a directory of its own in the cache, writes the disk from it, and removes it.
 */
gboolean work_run(const Request *request, GError **error);

#endif
