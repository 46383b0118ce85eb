#!/usr/bin/env python3
"""The mains come back while the machine stands still: everything goes on as if nothing had happened; lost for good later, nothing is lost."""
import re
import time

import rig

SYSTEM = '''
power_fail: {powerkey: true, off_after: 4 s}
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
    stored = [int(number) for number in re.findall(r'stored <(\d+)>', result.out)]
    for number in stored:
        block = rig.read_sectors('disk.img', wal + number, 1)
        rig.check(block == b'%0511d\n' % number, f'block {number} was acknowledged and is lost\n{result.show()}')
    print(f'{len(stored)} blocks acknowledged, 0 lost; the mains came back twice')


rig.main(test)
