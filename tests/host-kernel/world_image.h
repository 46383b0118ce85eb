/* A random valid system image. */
#ifndef WORLD_IMAGE_H
#define WORLD_IMAGE_H

#include "world.h"

/* Fills in `image` from the random numbers. It is not sealed. */
void world_image_make(struct world_image *image);

#endif
