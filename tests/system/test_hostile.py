#!/usr/bin/env python3
"""One VM spins with interrupts off and one misuses every device: a Linux VM goes on writing to RapiLog, nothing asserts."""
import os

import rig

SYSTEM = '''
machine: {cores: 4}
power_fail: powerkey
disks: {disk0: {file: disk.img}}
vms:
  good:
    vcpus: [1]
    memory: 256 MiB
    rapilog: {hold_up: 200 ms, memory: 8 MiB}
    disks: [{disk: disk0, label: wal, filter: rapilog}]
''' + rig.LINUX + '''
  chaos:
    memory: 64 MiB
    vcpus: [2]
    kernel: ${QUOLL_TARGET}/guests/attack/attack.Image
    command_line: "attack: milliseconds=6000 attacks=chaos,disk-flood"
    disks: [{disk: disk0, label: chaos}]
  spin:
    memory: 32 MiB
    vcpus: [3]
    kernel: ${QUOLL_TARGET}/guests/hostile/spin.Image
'''

WORK = r'''
i=0; while [ $i -lt 1000000 ]; do i=$((i+1)); printf '%0511d\n' $i | dd of=/dev/vda bs=512 seek=$((i%1000)) conv=fsync 2>/dev/null; [ $((i%20)) = 0 ] && echo "worked <$i>"; done
'''


def test():
    rig.make_disk('disk.img', ('wal', 16), ('chaos', 16))
    machine = rig.Machine(SYSTEM, '--streams', rig.folder.name, timeout=170)
    machine.type(WORK)
    rounds = 0
    while not ended(machine):
        rounds += 1
        machine.read_until(f'worked <{rounds * 20}>')
    result = machine.kill()
    for text in ('stopped', 'broken invariant', 'the kernel itself failed'):
        rig.check(text not in result.log, result.show())
    print(f'{rounds * 20} blocks written meanwhile')


def ended(machine):
    if not os.path.exists(rig.path('chaos.txt')):
        return False  # not yet booted
    with open(rig.path('chaos.txt'), encoding='utf-8', errors='replace') as text:
        return 'attack: done' in text.read()


rig.main(test)
