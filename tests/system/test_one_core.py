#!/usr/bin/env python3
"""One core is enough: services and VM share it."""
import rig


def test():
    result = rig.run(f'machine: {{cores: 1}}\nvms:\n  linux:\n{rig.LINUX}\n', typed='nproc\npoweroff -f\n')
    result.expect_status(0).expect('nproc\n1\n')


rig.main(test)
