#!/usr/bin/env python3
"""However a run ends (time limit, SIGTERM, SIGKILL), QEMU ends with it and the exit status tells which it was."""
import os
import signal
import time

import rig

SPIN = 'vms:\n  spin:\n    memory: 32 MiB\n    kernel: ${QUOLL_TARGET}/guests/hostile/spin.Image\n'


def children(process):
    with open(f'/proc/{process}/task/{process}/children', encoding='utf-8') as words:
        return [int(word) for word in words.read().split()]


def gone(process):
    """Does it end within two seconds?"""
    for _ in range(40):
        try:
            with open(f'/proc/{process}/stat', encoding='utf-8') as stat:
                if stat.read().rsplit(')', 1)[1].split()[0] == 'Z':
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def ended_by(number):
    machine = rig.Machine(SPIN)
    machine.read_until('spinning')
    qemu, = children(machine.process.pid)
    os.kill(machine.process.pid, number)
    result = machine.finish()
    rig.check(gone(qemu), f'QEMU goes on after signal {number}')
    return result.status


def test():
    rig.run(SPIN, timeout=5).expect_status(124).expect_log('give more with --timeout')
    rig.check(ended_by(signal.SIGTERM) == 128 + signal.SIGTERM, 'the exit status does not tell of SIGTERM')
    rig.check(ended_by(signal.SIGINT) == 128 + signal.SIGINT, 'the exit status does not tell of SIGINT')
    ended_by(signal.SIGKILL)


rig.main(test)
