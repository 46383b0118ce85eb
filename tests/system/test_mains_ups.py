#!/usr/bin/env python3
"""A UPS goes on battery and back: Debian's Network UPS Tools in a VM of its own tell Quoll, and a database's VM stands and goes on.
Told to ring at a low battery only, they let it run on until then."""

import rig
import stored

SYSTEM = stored.system('{vm: ups, off_after: 60 s}', ('db', '60 s'), f'''
  ups:
    memory: 192 MiB
{rig.LINUX.replace('guests/linux/initrd', 'guests/nut/initrd')}
''')
# A ring that does nothing at ONBATT but say so.
RING_LATE = r"""sed -i 's|ONBATT .|ONBATT) echo "seen: $NOTIFYTYPE" >/dev/hvc0 ;; |' /etc/nut/ring
"""


def ups_becomes(machine, status):
    machine.type(f'sed -i "s/status: .*/status: {status}/" /etc/nut/paper.dev\n')


def test():
    wal = stored.make_disk()
    machine = rig.Machine(SYSTEM, '--streams', rig.folder.name)
    machine.type(stored.WRITER + '\033_Qiups\033\\/start\n')
    machine.read_until('stored <5>')
    machine.wait_for_stream('ups', 'the monitor watches')
    ups_becomes(machine, 'OB')
    machine.wait_for_log('the machine goes off in 60000 ms')
    ups_becomes(machine, 'OL')
    machine.wait_for_log('the mains are back: the VMs go on')
    stored.read_more(machine, 5)
    machine.type(RING_LATE)
    ups_becomes(machine, 'OB')
    machine.wait_for_stream('ups', 'seen: ONBATT')
    stored.read_more(machine, 5)
    ups_becomes(machine, 'OB LB')
    machine.wait_for_log('the machine goes off in 60000 ms')
    result = machine.kill()
    count = stored.check(result, wal)
    print(f'{count} blocks acknowledged, 0 lost')


rig.main(test)
