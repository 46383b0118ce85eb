#!/usr/bin/env python3
"""No operation costs more than 3 % more instructions than tests/bench/reference.json says."""
import os
import sys

import rig

sys.path.insert(0, os.path.join(rig.ROOT, 'tests', 'bench'))
import micro  # noqa: E402
import reference  # noqa: E402


def test():
    accepted = reference.read().get('micro', {})
    rig.check(accepted, 'tests/bench/reference.json is missing; make it: ./quoll bench --only micro --accept')
    found = micro.quoll(True)
    missing = sorted(set(accepted) - set(found))
    rig.check(not missing, f'not measured any more: {", ".join(missing)}')
    worse = reference.compare({'micro': found})
    rig.check(not worse, '\n'.join(worse))
    print(f'{len(accepted)} operations; a null hypercall takes {found["null_hypercall"]:.0f} instructions')


rig.main(test)
