#!/usr/bin/env python3
"""From power-on to the shell, Linux on Quoll takes at most twice as long as on the bare QEMU machine."""
import os
import subprocess
import time

import rig

ROUNDS = 3
GUEST = os.path.join(rig.BUILD, 'guests', 'linux')


def on_quoll():
    machine = rig.Machine(f'machine: {{cores: 3}}\nvms:\n  linux:\n    vcpus: 2\n{rig.LINUX}\n')
    machine.read_until('BusyBox')
    seconds = time.monotonic() - machine.started
    machine.kill()
    return seconds


def on_bare_machine():
    begin = time.monotonic()
    machine = subprocess.Popen(
        ['timeout', '100', 'qemu-system-aarch64', '-M', 'virt,gic-version=3', '-cpu', 'cortex-a72', '-smp', '2', '-m', '512',
         '-nodefaults', '-display', 'none', '-kernel', f'{GUEST}/vmlinuz', '-initrd', f'{GUEST}/initrd.img',
         '-append', 'console=hvc0 loglevel=4', '-device', 'virtio-serial-device', '-device', 'virtconsole,chardev=c',
         '-chardev', 'stdio,id=c,signal=off'], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL)
    out = b''
    while b'BusyBox' not in out:
        piece = os.read(machine.stdout.fileno(), 65536)
        rig.check(piece, f'the bare machine does not boot: {out}')
        out += piece
    seconds = time.monotonic() - begin
    machine.terminate()
    machine.wait()
    return seconds


def test():
    on_quoll()  # makes the guest if need be, warms the caches
    quoll, bare = (min(measure() for _ in range(ROUNDS)) for measure in (on_quoll, on_bare_machine))
    print(f'Quoll {quoll:.2f} s, bare machine {bare:.2f} s: {quoll / bare:.2f} times')
    rig.check(quoll <= 2 * bare, 'it takes too long')


rig.main(test)
