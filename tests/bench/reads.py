"""Reads of 4 KiB that find nothing in RapiLog's buffer, with and without it: instructions of everybody, the guest's own workload included (system call,
block layer, driver, interrupt, context switches), counted by a plugin; and their time on a modelled disk."""

import os

import load
import machine
import micro

ALLOWED = 2.0  # percent
OPERATIONS = 1000
MARKS = {'read-sequential': 32, 'read-random': 34}
NAMES = {'read-sequential': 'one after the other', 'read-random': 'at random'}
DISK = 'consumer-ssd'


# what: (mode, RapiLog's core; the guest's is 1)
SETTINGS = {'plain': ('plain', 1), 'held': ('held', 1), 'other_core': ('held', 0)}


def loads():
    return {name: (name, 1, 50, OPERATIONS, mark) for name, mark in MARKS.items()}


def measure(mode, core):
    """{load: {"instructions": of one read, "own": Quoll's part of them, "us": its time}}"""
    marks = os.path.join(machine.RESULTS, 'reads.txt')
    timed, _ = load.measure(load.Point(DISK, mode, loads(), reads='timed', core=core))
    # Not behind the timing service, whose looking for late answers would be counted, too.
    counted = load.Point(None, mode, loads(), guest=512, core=core)
    load.measure(counted, '--qemu-arg', '-plugin', '--qemu-arg', f'{machine.plugin("count")},out={marks}')
    passed = {mark: (count, outside) for mark, count, outside in micro.read_marks(marks)}
    result = {}
    for name, mark in MARKS.items():
        count, outside = (after - before for before, after in zip(passed[str(mark)], passed[str(mark + 1)]))
        operations = OPERATIONS + 50
        result[name] = {'instructions': count / operations, 'own': outside / operations, 'us': timed[name]['p50_us']}
    return result


def run():
    return {what: measure(*setting) for what, setting in SETTINGS.items()}


def more(found, what, name, unit):
    """What RapiLog adds, in percent."""
    return 100 * (found[what][name][unit] / found['plain'][name][unit] - 1)


def table(found):
    """The time is what was asked for; on a disk that takes any, it is what a guest sees of the instructions."""
    lines = [f'{"reads of 4 KiB beside the buffer":42} {"without":>9} {"RapiLog":>9} {"":>8} {"on another core":>18}']
    for name, what in NAMES.items():
        for unit, text in (('instructions', 'instructions'), ('own', 'of them Quoll\'s'), ('us', f'us on {DISK}')):
            line = f'{what + ": " + text:42} {found["plain"][name][unit]:>9,.1f}'
            for setting in ('held', 'other_core'):
                line += f' {found[setting][name][unit]:>9,.1f} {more(found, setting, name, unit):>+6.2f} %'
            met = max(more(found, setting, name, unit) for setting in ('held', 'other_core')) <= ALLOWED
            lines.append(line + ('' if unit == 'own' else f'   asked: at most {ALLOWED:.0f} %, {"met" if met else "not met"}'))
    return '\n'.join(lines)
