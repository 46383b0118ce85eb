"""RapiLog's speed: `./quoll bench rapilog`. Each figure that was asked for stands beside what was asked; results are in build/bench/rapilog.json."""

import json
import os

import acknowledge
import load
import machine
import reads
import storage

PLACE = os.path.join(machine.RESULTS, 'rapilog.json')
NAMES = {f'acknowledge_{series}': what for series, what in acknowledge.NAMES.items()}


def save(results):
    """What was not measured this time stays as it is."""
    known = {}
    if os.path.exists(PLACE):
        with open(PLACE, encoding='utf-8') as old:
            known = json.load(old)
    known |= results
    with open(PLACE, 'w', encoding='utf-8') as out:
        json.dump(known, out, indent=1)
        out.write('\n')


def comparable(results):
    """{name: instructions} of what repeats."""
    return {f'acknowledge_{series}': round(one['acknowledged'], 1) for series, one in results.get('acknowledge', {}).items()}


def run(quick):
    """Everything, or with `quick` what is counted in instructions; prints tables, returns the results."""
    results = {}
    machine.say('rapilog: acknowledging a write, instructions')
    results['acknowledge'] = acknowledge.run()
    save(results)
    print(acknowledge.table(results['acknowledge']), flush=True)
    if quick:
        return results
    load.build()
    machine.say('rapilog: reads beside the buffer')
    results['reads'] = reads.run()
    save(results)
    print('\n' + reads.table(results['reads']), flush=True)
    machine.say(f'rapilog: throughput on modelled disks, {len(storage.points())} machines, {load.AT_ONCE} at a time')
    results['storage'] = storage.run()
    save(results)
    print(storage.table(results['storage']), flush=True)
    print(f'plot: {storage.draw(results["storage"])}')
    return results
