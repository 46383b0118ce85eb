#!/usr/bin/env python3
"""A component drives volume service and NVMe driver through every case, errors included."""
import os
import re

import rig


def test():
    rig.make_disk('disk.img', ('root', 32), ('wal', 16))
    with open(os.path.join(rig.ROOT, 'tests/system/disk-test/disk-test.yaml'), encoding='utf-8') as source:
        result = rig.run(source.read())
    result.expect_status(0).expect_log('disk-test: 0 failed')
    print(len(re.findall(r'^disk-test: ok', result.log, re.M)), 'cases')


rig.main(test)
