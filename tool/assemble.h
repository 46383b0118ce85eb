/*
 * From a system description to a system image.
 *
 * Chooses the components that a system needs (none for what it does not use), gives each its memory, objects and
 * configuration as <quoll/config.h> tells, and writes the image. docs/components.md lists the names.
 *
 *     VM -- virtio-blk in its VMM --[link]-- RapiLog --[link]-- volume service --[link]-- NVMe driver
 *
 * One VMM per VM, one RapiLog per VM that uses it, one volume service and one driver per physical disk. Each
 * use of a disk has one data buffer with a number of its own; all along the way who may name which buffer is
 * configured, and only those who touch its bytes have it mapped.
 */
#ifndef TOOL_ASSEMBLE_H
#define TOOL_ASSEMBLE_H

#include "content.h"
#include "description.h"

/* false: mistakes were reported. The image has passed the kernel's own validation. */
bool assemble(const struct description *description, struct content *image);

#endif
