#!/usr/bin/env python3
"""Other sources of the mains signal: an interrupt line of the device tree, and the level of a GPIO line; lost, back, lost."""
import socket
import time

import rig
import stored

SYSTEM = stored.system('{POWER, off_after: 20 s}', ('linux', '900 ms', 'vcpus: 2'))

# The interrupt of the last of QEMU's virtio transports, which nothing is attached to: SPI 16 + 31.
LINE = 'interrupt: {compatible: "virtio,mmio", instance: 31}', 16 + 31
GPIO = 'gpio: {line: 5, active: high}', 5


class Pins:
    """Inputs of QEMU's devices, through its test interface."""

    def __init__(self, machine):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(rig.path('pins'))
        self.lines = self.socket.makefile('rw')
        self.machine = machine

    def set(self, device, number, level):
        self.lines.write(f'set_irq_in {device} unnamed-gpio-in {number} {level}\n')
        self.lines.flush()
        answer = self.lines.readline()
        rig.check(answer.startswith('OK'), f'QEMU answers {answer!r}')


def device_of(machine, kind):
    """The QOM path of the machine's first device of that type."""
    for name in machine.ask('qom-list', path='/machine/unattached'):
        if name['type'] == f'child<{kind}>':
            return '/machine/unattached/' + name['name']
    raise rig.Failure(f'QEMU has no {kind}')


def lose_and_regain(what, kind):
    power, number = what
    wal = stored.make_disk()
    words = '-qtest', f'unix:{rig.path("pins")},server=on,wait=off', '-qtest-log', '/dev/null'
    machine = rig.Machine(SYSTEM.replace('POWER', power), *(f'--qemu-arg={word}' for word in words))
    machine.type(stored.WRITER)
    machine.read_until('stored <1>')
    pins, device = Pins(machine), device_of(machine, kind)
    pins.set(device, number, 0)
    machine.read_until('stored <10>')
    pins.set(device, number, 1)
    machine.wait_for_log('the machine goes off in 20000 ms')
    time.sleep(0.3)
    rig.check('the mains are back' not in machine.read_log(), 'the line is still active, but the VMs go on')
    pins.set(device, number, 0)
    machine.wait_for_log('the mains are back: the VMs go on')
    stored.read_more(machine, 10)
    pins.set(device, number, 1)
    machine.wait_for_log('the machine goes off in 20000 ms')
    result = machine.kill()
    count = stored.check(result, wal)
    print(f'{power}: {count} blocks acknowledged, 0 lost')


def test():
    lose_and_regain(LINE, 'arm-gicv3')
    lose_and_regain(GPIO, 'pl061')


rig.main(test)
