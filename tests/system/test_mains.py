#!/usr/bin/env python3
"""The mains fail while a guest writes through RapiLog: every acknowledged block is on the disk, the status is 3."""
import re

import rig

SYSTEM = '''
power_fail: powerkey
disks: {disk0: {file: disk.img}}
vms:
  linux:
    vcpus: 2
    rapilog: {hold_up: 200 ms, memory: 16 MiB}
    disks: [{disk: disk0, label: wal, filter: rapilog}]
''' + rig.LINUX

WRITER = r'''
i=0; while true; do i=$((i+1)); printf '%0511d\n' $i | dd of=/dev/vda bs=512 seek=$i conv=fsync 2>/dev/null && echo "stored <$i>"; done
'''


def test():
    wal, = rig.make_disk('disk.img', ('wal', 16))
    machine = rig.Machine(SYSTEM)
    machine.type(WRITER)
    machine.read_until('stored <25>')
    machine.qmp('system_powerdown')
    result = machine.finish().expect_status(3)
    stored = [int(number) for number in re.findall(r'stored <(\d+)>', result.out)]
    rig.check(len(stored) >= 25, result.show())
    for number in stored:
        block = rig.read_sectors('disk.img', wal + number, 1)
        rig.check(block == b'%0511d\n' % number, f'block {number} was acknowledged and is lost\n{result.show()}')
    print(f'{len(stored)} blocks acknowledged, 0 lost')


rig.main(test)
