"""What is known of the rounds that are done, one line of JSON for each in rounds.jsonl: so a run can be ended, even killed, at
any moment and go on later with `--resume`. The first line says of which run they are, and of which Quoll. A round counts when its
line is there."""

import glob
import hashlib
import json
import os
import time

import host
import stage
from verdict import Verdict

# What decides what a round is; their number does not.
IDENTITY = ('seed', 'disk', 'driver', 'fault', 'mode', 'workload', 'broken')


def identity(options):
    return {name: getattr(options, name) for name in IDENTITY}


def build():
    """Which Quoll is tried: it changes with the tool, the kernel and the components."""
    target = os.environ.get('QUOLL_TARGET', os.path.join(host.BUILD, 'aarch64'))
    parts = [path for part in ('kernel/*.Image', 'vmm/*.elf', 'services/*/*.elf', 'drivers/*/*.elf')
             for path in sorted(glob.glob(os.path.join(target, part)))]
    digest = hashlib.sha256()
    for path in [stage.TOOL, *parts]:
        with open(path, 'rb') as part:
            digest.update(hashlib.sha256(part.read()).digest())
    return digest.hexdigest()[:16]


class Record:
    """Of one run. `rounds`: number to what `add` was told."""

    def __init__(self, options):
        self.path = os.path.join(host.PLACE, 'rounds.jsonl')
        self.rounds = {}
        if options.resume and os.path.exists(self.path):
            self.read(identity(options))
        else:
            self.write('w', {'begun': time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime()), 'build': build(),
                             **identity(options)})

    def read(self, wanted):
        with open(self.path, encoding='utf-8') as lines:
            head, *rest = lines.read().splitlines() or ['{}']
        head = json.loads(head)
        if {name: head.get(name) for name in IDENTITY} != wanted:
            raise host.Failure(f'{self.path} is of a run with other options: {head}; give the same, or leave out --resume')
        if head.get('build') != build():
            raise host.Failure(f'{self.path} is of a run with another Quoll, built of other sources (build {head.get("build")}; '
                               f'now {build()}); go back to those sources to go on with it, or leave out --resume')
        for line in rest:
            try:
                entry = json.loads(line)
            except ValueError:  # the last line of a run that was killed
                continue
            self.rounds[entry['round']] = entry

    def write(self, how, entry):
        with open(self.path, how, encoding='utf-8') as out:
            out.write(json.dumps(entry) + '\n')

    def add(self, setting, verdict, problem, seconds):
        counts = {'acknowledged': verdict.acknowledged, 'lost': verdict.lost, 'out_of_order': verdict.out_of_order,
                  'reasons': verdict.reasons} if verdict else {'problem': problem}
        self.rounds[setting.number] = {'round': setting.number, 'what': setting.describe(), 'seconds': round(seconds), **counts}
        self.write('a', self.rounds[setting.number])

    def past(self, setting):
        """Verdict and problem of a round that was done earlier."""
        entry = self.rounds[setting.number]
        if entry['what'] != setting.describe():
            raise host.Failure(f'{self.path}: round {setting.number} was "{entry["what"]}" and would be "{setting.describe()}" '
                               'now: the rig has changed since; leave out --resume')
        if 'problem' in entry:
            return None, entry['problem']
        verdict = Verdict(entry['acknowledged'], entry['lost'], entry['out_of_order'])
        verdict.reasons = entry['reasons']
        return verdict, None
