#!/usr/bin/env python3
"""`reboot` in a guest boots it again, as often as it likes; then `poweroff` ends it."""
import rig


def test():
    machine = rig.Machine(f'vms:\n  linux:\n    vcpus: 2\n{rig.LINUX}\n')
    machine.read_until('BusyBox')
    for boot in range(3):
        machine.type(f'echo boot $((10+{boot}))\n')
        machine.read_until(f'boot {10 + boot}\r?\n')
        machine.type('reboot -f\n' if boot < 2 else 'poweroff -f\n')
        if boot < 2:
            machine.read_until('BusyBox')  # what is typed earlier is the old system's
    machine.finish().expect_status(0)


rig.main(test)
