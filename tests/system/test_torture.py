#!/usr/bin/env python3
"""The torture rig: when the mains fail nothing acknowledged is missing, and on a disk whose FLUSH lies it sees what is."""
import json
import os
import subprocess
import time

import rig

RUN = [os.path.join(rig.ROOT, 'tests', 'faults', 'run'), '--rounds', '1', '--workload', 'raw', '--disk', 'consumer-ssd',
       '--mode', 'held', '--fault', 'mains']


def start(name, *more):
    return subprocess.Popen([*RUN, '--out', rig.path(name), *more], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env=dict(os.environ, QUOLL_ROOT=rig.ROOT, QUOLL_BUILD=rig.BUILD, QUOLL_TOOL=rig.TOOL))


def finish(name, run):
    out = run.communicate(timeout=200)[0]
    rig.check(run.returncode == 0, f'{name}: exit status {run.returncode}\n{out}')
    with open(rig.path(f'{name}/results.json'), encoding='utf-8') as results:
        row, = json.load(results)
    rig.check(row['rounds'] == 1 and row['acknowledged'] > 0, out)
    print(f'{name}: {row["acknowledged"]} acknowledged, {row["lost"]} lost, {row["out_of_order"]} out of order')
    return row


def must_not_disturb(name, run):
    """A second run in the folder of one that is under way is refused."""
    while not os.path.exists(rig.path(f'{name}/log')):
        rig.check(run.poll() is None, f'{name} has ended')
        time.sleep(0.1)
    second = start(name)
    out = second.communicate(timeout=60)[0]
    rig.check(second.returncode == 1 and 'another run uses' in out, f'exit status {second.returncode}\n{out}')


def test():
    honest, broken = start('honest'), start('broken', '--break', 'lying-flush')
    must_not_disturb('honest', honest)
    row = finish('honest', honest)
    rig.check(row['lost'] == 0 and row['out_of_order'] == 0, str(row))
    rig.check(finish('broken', broken)['lost'] > 0, 'a disk that lies about FLUSH must lose something')


rig.main(test)
