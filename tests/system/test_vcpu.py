#!/usr/bin/env python3
"""A guest tests its vCPUs from inside: traps, timers, interrupts, registers kept across exits and neighbours."""
import re

import rig


def test():
    result = rig.run('vms:\n  guest:\n    memory: 64 MiB\n    vcpus: 4\n    kernel: ${QUOLL_TARGET}/guests/test/vcpu.Image\n')
    found = re.search(r'vcpu: (\d+) passed, (\d+) failed', result.out)
    rig.check(found and found.group(2) == '0', result.show())
    result.expect_status(0)
    print(f'{found.group(1)} checks')


rig.main(test)
