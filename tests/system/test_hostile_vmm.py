#!/usr/bin/env python3
"""A VMM that fills its vCPU and interrupt pages with random bits while its guest runs random code harms nobody else."""
import re
import shutil

import rig

# A file `vmm` beside the description takes the place of Quoll's own.
SYSTEM = '''
machine: {cores: 4}
vms:
  wild:
    memory: 16 MiB
    vcpus: [1, 2, 2]
    kernel: ${QUOLL_TARGET}/guests/hostile/spin.Image
components:
  pulse0: {elf: hostile, core: 0, priority: 190}
  pulse1: {elf: hostile, core: 1, priority: 190}
  pulse2: {elf: hostile, core: 2, priority: 190}
  pulse3: {elf: hostile, core: 3}
'''


def test():
    shutil.copy(f'{rig.TARGET}/tests/components/hostile-vmm.elf', rig.path('vmm'))
    result = rig.run(SYSTEM, timeout=60).expect_status(0).expect_log('vmm.wild: hostile: ', 'all VMs powered off')
    for text in ("' stopped:", 'the kernel itself failed', 'broken invariant'):
        rig.check(text not in result.log, result.show())
    entries, refused = map(int, re.search(r'hostile: (\d+) entries, (\d+) refused', result.log).groups())
    rig.check(entries > 2000 and refused > 100, f'too little was tried\n{result.show()}')
    for number in range(4):
        turns = re.findall(rf'pulse{number}: turn <(\d+)>', result.log)
        rig.check(turns and int(turns[-1]) >= 200, f'pulse{number} came to turn {turns[-1:]}\n{result.show()}')
    print(f'{entries} entries, {refused} refused')


rig.main(test)
