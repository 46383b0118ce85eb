#!/usr/bin/env python3
"""Every fuzz target stands its stored inputs, findings of the past among them, and some thousand new ones, the same each time."""
import os
import subprocess
import sys

RUN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'fuzz', 'run')

done = subprocess.run([RUN], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
if done.returncode != 0:
    print(done.stdout)
sys.exit(done.returncode)
