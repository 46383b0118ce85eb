#!/usr/bin/env python3
"""Two VMs behind RapiLog on one disk: when the mains fail both drain at once, so each promises what half of the time is enough for."""
import re

import rig

VM = '''
  NAME:
    rapilog: {hold_up: 900 ms, reserve: 300 ms, memory: 16 MiB}
    disks: [{disk: disk0, label: NAME, filter: rapilog}]
''' + rig.LINUX


def bounds(*names):
    """The bound of each VM's RapiLog, with what it was made of."""
    rig.make_disk('disk.img', *((name, 16) for name in names))
    text = 'power_fail: powerkey\ndisks: {disk0: {file: disk.img}}\nvms:' + ''.join(VM.replace('NAME', name) for name in names)
    machine = rig.Machine(text)
    try:
        for name in names:
            machine.wait_for_log(f'rapilog.{name}: bound')
        log = machine.read_log()
    finally:
        machine.kill()
    return [re.search(rf'rapilog\.{name}: bound .*', log).group() for name in names]


def test():
    alone = bounds('one')
    together = bounds('one', 'two')
    rig.check('(hold-up 900000 us - reserve 300000 us) / 1 RapiLog at that disk' in alone[0], alone[0])
    for bound in together:
        rig.check('(hold-up 900000 us - reserve 300000 us) / 2 RapiLogs at that disk' in bound, bound)
    print('\n'.join(alone + together))


rig.main(test)
