/*
 * The rig's hand on the modelled disk: a UNIX socket that takes one command per line and answers each with one line.
 *
 *     cut            the mains fail: the cache is forgotten, every request fails from now on
 *     cut-after N    the same at the beginning of the N-th write or flush from now
 *     on             the mains are back
 *     dilation N     slow down N times from now on
 *     survive P      at the next cut P percent of the unflushed sectors are on the medium all the same
 *     errors P       P percent of the writes and flushes fail from now on
 *     bad N          sector N cannot be written from now on; "bad last": the one that was written last; "bad none": all can
 *     stats          what has been asked of the disk so far
 *
 * Answers begin with "ok" or "error".
 */
#ifndef DISK_MODEL_CONTROL_H
#define DISK_MODEL_CONTROL_H

#include "disk.h"

/* Serves `path` from a thread of its own until the process ends. 0 or an errno value. */
int control_start(const char *path, struct disk *disk);

#endif
