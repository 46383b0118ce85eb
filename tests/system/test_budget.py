#!/usr/bin/env python3
"""With a budget of 20 % on a spinning VM, a second VM on the same core keeps at least 75 % of the core.

Runs with QEMU's -icount, so that time is counted in instructions and other work on the host does not matter.
"""
import rig

WORKER = '''
  worker:
    memory: 32 MiB
    vcpus: [0]
    kernel: ${QUOLL_TARGET}/guests/hostile/worker.Image
'''
SPINNER = '''
  spin:
    memory: 32 MiB
    vcpus: [0]
    budget: 20 %
    priority: 150
    kernel: ${QUOLL_TARGET}/guests/hostile/spin.Image
'''


def turns(vms):
    machine = rig.Machine('machine: {cores: 1}\nvms:' + vms, '--icount', 'shift=0,sleep=off', timeout=100)
    total = int(machine.read_until(r'worker: total (\d+)\r?\n').group(1))
    machine.kill()
    return total


def test():
    alone = turns(WORKER)
    shared = turns(WORKER + SPINNER)
    print(f'alone {alone} turns, beside the spinning VM {shared}: {100 * shared / alone:.0f} %')
    rig.check(shared >= 0.75 * alone, 'the spinning VM takes more than its budget')


rig.main(test)
