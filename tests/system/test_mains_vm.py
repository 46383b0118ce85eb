#!/usr/bin/env python3
"""A VM that watches the mains rings lost and back for the whole machine; a VM that is not named cannot."""
import re
import time

import rig

SYSTEM = f'''
power_fail: {{vm: ups, off_after: 30 s}}
disks: {{disk0: {{file: disk.img}}}}
vms:
  db:
    rapilog: {{hold_up: 900 ms, memory: 16 MiB}}
    disks: [{{disk: disk0, label: wal, filter: rapilog}}]
{rig.LINUX}
  ups:
    memory: 128 MiB
{rig.LINUX}
'''

# The first bell is one that this VM has not got.
WRITER = r'''
echo mains lost >/dev/hvc1 || echo "no bell <$?>"
i=0; while true; do i=$((i+1)); printf '%0511d\n' $i | dd of=/dev/vda bs=512 seek=$i conv=fsync 2>/dev/null && echo "stored <$i>"; done
'''


def ring(machine, what):
    machine.type(f'echo mains {what} >/dev/hvc1\n')


def test():
    wal, = rig.make_disk('disk.img', ('wal', 16))
    machine = rig.Machine(SYSTEM)
    machine.type(WRITER + '\033_Qiups\033\\')
    machine.read_until('no bell <1>')
    machine.read_until('stored <10>')
    rig.check('the mains are lost' not in machine.read_log(), 'a VM that is not named has rung')
    ring(machine, 'nearly lost')
    machine.wait_for_log('the guest writes to the power console what is no command')
    ring(machine, 'lost')
    machine.wait_for_log('the machine goes off in 30000 ms')
    time.sleep(0.2)
    ring(machine, 'back')
    machine.wait_for_log('the mains are back: the VMs go on')
    before = len(re.findall(rb'stored', machine.out))
    machine.read_until(f'stored <{before + 10}>')
    ring(machine, 'lost')
    machine.wait_for_log('the machine goes off in 30000 ms')
    result = machine.kill()
    stored = [int(number) for number in re.findall(r'stored <(\d+)>', result.out)]
    for number in stored:
        block = rig.read_sectors('disk.img', wal + number, 1)
        rig.check(block == b'%0511d\n' % number, f'block {number} was acknowledged and is lost\n{result.show()}')
    print(f'{len(stored)} blocks acknowledged, 0 lost')


rig.main(test)
