#!/usr/bin/env python3
"""A VM that watches the mains rings lost and back for the whole machine; a VM that is not named cannot."""
import time

import rig
import stored

SYSTEM = stored.system('{vm: ups, off_after: 30 s}', ('db', '900 ms'), f'''
  ups:
    memory: 128 MiB
{rig.LINUX}
''')

# The bell is one that this VM has not got.
NO_BELL = 'echo mains lost >/dev/hvc1 || echo "no bell <$?>"\n'


def ring(machine, what):
    machine.type(f'echo mains {what} >/dev/hvc1\n')


def test():
    wal = stored.make_disk()
    machine = rig.Machine(SYSTEM)
    machine.type(NO_BELL + stored.WRITER + '\033_Qiups\033\\')
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
    stored.read_more(machine, 10)
    ring(machine, 'lost')
    machine.wait_for_log('the machine goes off in 30000 ms')
    result = machine.kill()
    count = stored.check(result, wal)
    print(f'{count} blocks acknowledged, 0 lost')


rig.main(test)
