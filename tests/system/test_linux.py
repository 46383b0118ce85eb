#!/usr/bin/env python3
"""A stock Debian kernel boots to a shell on 1, 2 and 4 vCPUs, answers, and powers off with status 0."""
import rig


def test():
    for vcpus in (1, 2, 4):
        result = rig.run(f'vms:\n  linux:\n    vcpus: {vcpus}\n{rig.LINUX}\n', typed='uname -a\nnproc\npoweroff -f\n')
        result.expect_status(0).expect('Debian', 'aarch64 GNU/Linux', f'nproc\n{vcpus}\n')
        print(f'{vcpus} vCPUs: {result.seconds:.1f} s from command to power-off')


rig.main(test)
