#!/usr/bin/env python3
"""The machine is reset under a writing guest and keeps its memory: RapiLog finds its buffer again, and nothing acknowledged is missing."""
import re

import rig
import stored

# A disk so slow that most of what was acknowledged is still in memory.
SYSTEM = stored.system('powerkey', ('linux', '60 s', 'memory: 128 MiB')).replace(
    'file: disk.img', 'file: disk.img, timing: {like: 7200rpm, dilation: 20}').replace('hold_up:', 'survives_reset: true, hold_up:')


def test():
    wal = stored.make_disk()
    machine = rig.Machine(SYSTEM, timeout=200)
    machine.type(stored.WRITER)
    machine.read_until('stored <30>')
    machine.ask('system_reset')
    machine.read_until('/ # ')  # the guest is up again
    machine.type('poweroff -f\n')
    result = machine.finish().expect_status(0)
    said = result.out + result.log  # until the console's service runs again, the log stands where the guest's output stood
    found = int(re.search(r'the machine was reset: (\d+) KiB of acknowledged data', said).group(1))
    rig.check(found > 0, f'nothing was in memory, so nothing is shown\n{result.show()}')
    rig.check('LOST' not in said, result.show())
    count = stored.check(result, wal, least=30)
    print(f'{count} blocks acknowledged, 0 lost; {found} KiB were in memory only')


rig.main(test)
