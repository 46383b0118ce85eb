#!/usr/bin/env python3
"""Wake-ups across cores and RapiLog keep their promises in every interleaving of their models."""
import os
import subprocess
import sys

RUN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'model', 'run')

done = subprocess.run([sys.executable, '-B', RUN, '--seconds', '30'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
if done.returncode != 0:
    print(done.stdout)
sys.exit(done.returncode)
