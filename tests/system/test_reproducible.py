#!/usr/bin/env python3
"""The same sources give the same bytes, wherever and whenever they are built: kernel, components, a system image."""
import os
import subprocess

import rig


def test():
    done = subprocess.run([os.path.join(rig.ROOT, 'tests', 'reproducible', 'run'), '--against-built'],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    rig.check(done.returncode == 0, done.stdout)


rig.main(test)
