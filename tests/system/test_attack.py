#!/usr/bin/env python3
"""Each attack of the threat model is tried beside a victim, in its quick form: prevented, and the victim is whole."""
import os
import subprocess
import sys

import rig


def test():
    command = os.path.join(rig.ROOT, 'tests', 'attack', 'run')
    environment = {**os.environ, 'QUOLL_BUILD': rig.BUILD, 'QUOLL_TARGET': rig.TARGET, 'QUOLL_TOOL': rig.TOOL}
    done = subprocess.run([sys.executable, '-B', command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, env=environment)
    lines = done.stdout.splitlines()
    failed = [line for line in lines if line.startswith('assure: ') and '| FAILED' in line]
    rig.check(done.returncode == 0 and not failed, '\n'.join(failed) or done.stdout)
    attacks = [line for line in lines if line.startswith('assure: attack |')]
    rig.check(len(attacks) > 30, done.stdout)
    print(f'{len(attacks)} attacks; {lines[0]}')


rig.main(test)
