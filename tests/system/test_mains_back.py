#!/usr/bin/env python3
"""The mains come back while the machine stands still: everything goes on as if nothing had happened; lost for good later, nothing is lost."""
import re
import time

import rig
import stored

SYSTEM = stored.system('{powerkey: true, off_after: 4 s}', ('linux', '200 ms', 'vcpus: 2'))


def test():
    wal = stored.make_disk()
    machine = rig.Machine(SYSTEM)
    machine.type(stored.WRITER)
    machine.read_until('stored <20>')
    for more in (40, 60):
        machine.qmp('system_powerdown')
        machine.wait_for_log('the machine goes off in 4000 ms')
        time.sleep(0.5)  # a press lasts 0.1 s
        before = len(re.findall(rb'stored', machine.out))
        machine.qmp('system_powerdown')  # the key once more: they are back
        machine.wait_for_log('the mains are back: the VMs go on')
        machine.read_until(f'stored <{max(more, before + 5)}>')
    machine.qmp('system_powerdown')
    result = machine.finish().expect_status(3).expect_log('everything acknowledged is on the disk')
    count = stored.check(result, wal)
    print(f'{count} blocks acknowledged, 0 lost; the mains came back twice')


rig.main(test)
