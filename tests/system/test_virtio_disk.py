#!/usr/bin/env python3
"""The same disk as a virtio block device: every case of the disk path, and a guest's data through plain volume and RapiLog."""
import os
import re

import rig
from test_disk import SYSTEM, TYPED, check_disk


def as_virtio(text):
    changed = re.sub(r'disk0: \{(nvme: 0, )?', 'disk0: {virtio: 0, ', text)
    rig.check(changed != text, 'the description names no disk')
    return changed


def test():
    rig.make_disk('disk.img', ('root', 32), ('wal', 16))
    with open(os.path.join(rig.ROOT, 'tests/system/disk-test/disk-test.yaml'), encoding='utf-8') as source:
        result = rig.run(as_virtio(source.read()))
    result.expect_status(0).expect_log('disk-test: 0 failed', 'virtio.disk0: 00:05.0 "virtio disk"')
    check_disk(lambda: rig.run(as_virtio(SYSTEM), typed=TYPED))


if __name__ == '__main__':
    rig.main(test)
