#!/usr/bin/env python3
"""A UPS goes on battery and back: Debian's Network UPS Tools in a VM of its own tell Quoll, and a database's VM stands and goes on."""
import re

import rig

SYSTEM = f'''
power_fail: {{vm: ups, off_after: 60 s}}
disks: {{disk0: {{file: disk.img}}}}
vms:
  db:
    rapilog: {{hold_up: 60 s, memory: 16 MiB}}
    disks: [{{disk: disk0, label: wal, filter: rapilog}}]
{rig.LINUX}
  ups:
    memory: 192 MiB
{rig.LINUX.replace('guests/linux/initrd', 'guests/nut/initrd')}
'''

WRITER = r'''
i=0; while true; do i=$((i+1)); printf '%0511d\n' $i | dd of=/dev/vda bs=512 seek=$i conv=fsync 2>/dev/null && echo "stored <$i>"; done
'''


def ups_becomes(machine, status):
    machine.type(f'sed -i "s/status: .*/status: {status}/" /etc/nut/paper.dev\n')


def test():
    wal, = rig.make_disk('disk.img', ('wal', 16))
    machine = rig.Machine(SYSTEM, '--streams', rig.folder.name)
    machine.type(WRITER + '\033_Qiups\033\\/start\n')
    machine.read_until('stored <5>')
    machine.wait_for_stream('ups', 'the monitor watches')
    ups_becomes(machine, 'OB')
    machine.wait_for_log('the machine goes off in 60000 ms')
    ups_becomes(machine, 'OL')
    machine.wait_for_log('the mains are back: the VMs go on')
    before = len(re.findall(rb'stored', machine.out))
    machine.read_until(f'stored <{before + 5}>')
    ups_becomes(machine, 'OB')
    machine.wait_for_log('the machine goes off in 60000 ms')
    result = machine.kill()
    stored = [int(number) for number in re.findall(r'stored <(\d+)>', result.out)]
    for number in stored:
        block = rig.read_sectors('disk.img', wal + number, 1)
        rig.check(block == b'%0511d\n' % number, f'block {number} was acknowledged and is lost\n{result.show()}')
    print(f'{len(stored)} blocks acknowledged, 0 lost')


rig.main(test)
