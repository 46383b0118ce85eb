#!/usr/bin/env python3
"""The same kernel binary runs Linux on other processors: cortex-a53, cortex-a76, neoverse-n1 and QEMU's max."""
import rig


def test():
    for cpu in ('cortex-a53', 'cortex-a76', 'neoverse-n1', 'max'):
        result = rig.run(f'machine: {{cpu: {cpu}}}\nvms:\n  linux:\n    vcpus: 2\n{rig.LINUX}\n',
                         typed='nproc\npoweroff -f\n')
        result.expect_status(0).expect('nproc\n2\n')
        print(f'{cpu}: {result.seconds:.1f} s')


rig.main(test)
