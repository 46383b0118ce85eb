#!/usr/bin/env python3
"""Every number of VMs up to eight, each with a core of its own, makes a valid system image."""
import os
import subprocess

import rig

KERNEL = os.path.join(rig.TARGET, 'guests', 'bench', 'bench.Image')


def build(count):
    text = f'machine: {{cores: {count + 1}}}\nvms:\n'
    for number in range(count):
        text += f'  vm{number}: {{memory: 16 MiB, vcpus: [{number + 1}], kernel: {KERNEL}}}\n'
    return subprocess.run([rig.TOOL, 'build', rig.description(text), '-o', rig.path('system.img')], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60)


def test():
    for count in range(1, 9):
        done = build(count)
        rig.check(done.returncode == 0, f'{count} VMs: {done.stdout}')


rig.main(test)
