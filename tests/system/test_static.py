#!/usr/bin/env python3
"""The quick static checks, clang-tidy and cppcheck, find nothing that is not explained."""
import os
import subprocess

import rig


def test():
    done = subprocess.run([os.path.join(rig.ROOT, 'tests', 'static', 'run'), '--quick'],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    rig.check(done.returncode == 0, done.stdout)


rig.main(test)
