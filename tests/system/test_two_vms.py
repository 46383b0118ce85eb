#!/usr/bin/env python3
"""Two VMs run side by side, each with its own console; the run ends when both are off."""
import rig


def test():
    machine = rig.Machine(f'vms:\n  one:\n    memory: 256 MiB\n{rig.LINUX}\n  two:\n    memory: 256 MiB\n{rig.LINUX}\n',
                          '--streams', rig.folder.name)
    machine.type('echo this is $((0+1))\npoweroff -f\n')
    machine.read_until('this is 1')
    machine.type('\033_Qitwo\033\\echo this is $((1+1))\npoweroff -f\n')
    machine.finish().expect_status(0).expect_log('VM one is off', 'VM two is off')
    with open(rig.path('two.txt'), encoding='utf-8') as two:
        text = two.read()
    rig.check('this is 2' in text, f'the second VM did not get its input; it said:\n{text}')
    rig.check('this is 1' not in text, 'the second VM shows what was typed to the first')


rig.main(test)
