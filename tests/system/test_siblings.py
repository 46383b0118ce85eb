#!/usr/bin/env python3
"""Two vCPUs of one VM on one core, each with its own translation tables, never use each other's translations."""
import re

import rig


def test():
    result = rig.run('vms:\n  guest:\n    memory: 64 MiB\n    vcpus: [1, 1]\n'
                     '    kernel: ${QUOLL_TARGET}/guests/attack/siblings.Image\n')
    found = re.search(r'siblings: (\d+) looks, (\d+) wrong', result.out)
    rig.check(found and int(found.group(1)) > 1000 and found.group(2) == '0', result.show())
    result.expect_status(0)
    print(found.group(0))


rig.main(test)
