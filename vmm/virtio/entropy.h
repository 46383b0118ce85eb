/* The virtio entropy device (virtio 1.2, section 5.4), fed by a generator of the VMM's. Device thread only. */
#ifndef VMM_VIRTIO_ENTROPY_H
#define VMM_VIRTIO_ENTROPY_H

#include "random.h"
#include "virtio/mmio.h"

struct virtio_entropy {
    struct virtio_device device; /* first */
    struct random *random;
};

void virtio_entropy_start(struct virtio_entropy *entropy, struct random *random);

#endif
