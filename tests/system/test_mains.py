#!/usr/bin/env python3
"""The mains fail while a guest writes through RapiLog: every acknowledged block is on the disk, the status is 3."""

import rig
import stored

SYSTEM = stored.system('powerkey', ('linux', '200 ms', 'vcpus: 2'))


def test():
    wal = stored.make_disk()
    machine = rig.Machine(SYSTEM)
    machine.type(stored.WRITER)
    machine.read_until('stored <25>')
    machine.qmp('system_powerdown')
    result = machine.finish().expect_status(3)
    count = stored.check(result, wal, least=25)
    print(f'{count} blocks acknowledged, 0 lost')


rig.main(test)
