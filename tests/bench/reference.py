"""What was accepted as the cost of each operation, in instructions, and what costs more now."""

import json
import os

import machine
import micro
import rapilog

PLACE = os.path.join(machine.ROOT, 'tests', 'bench', 'reference.json')
ALLOWED = 0.03
ROUNDING = 0.6  # instructions: a loop's ends fall between two ticks
MACRO = ('linux', 'linux_own_tree')  # the others are so short that it matters where timer ticks fall
MACRO_ALLOWED = 0.0005  # of a ratio of instructions
NAMES = micro.NAMES | rapilog.NAMES


def read():
    if not os.path.exists(PLACE):
        return {}
    with open(PLACE, encoding='utf-8') as lines:
        return json.load(lines)


def comparable(results):
    """{group: {name: value}} of what repeats."""
    return {'micro': {name: round(value, 1) for name, value in results.get('micro', {}).items() if name not in micro.VARYING},
            'macro': {name: round(value, 5) for name, value in results.get('macro', {}).items() if name in MACRO},
            'rapilog': rapilog.comparable(results.get('rapilog', {}))}


def accept(results):
    """Replaces the groups that were measured."""
    known = read()
    known |= {group: values for group, values in comparable(results).items() if values}
    with open(PLACE, 'w', encoding='utf-8') as out:
        json.dump(known, out, indent=1)
        out.write('\n')
    return PLACE


def compare(results):
    """One line for each benchmark that costs more than it may."""
    known, now, lines = read(), comparable(results), []
    for group in ('micro', 'rapilog'):
        for name, was in known.get(group, {}).items():
            value = now[group].get(name, was)
            if value > was * (1 + ALLOWED) and value > was + ROUNDING:
                lines.append(f'{name}: {value:.0f} instructions, {100 * (value / was - 1):.1f} % more than the accepted {was:.0f}'
                             f' ({NAMES.get(name, "")}); ./quoll bench {group} --accept takes it as the new reference')
    for name, was in known.get('macro', {}).items():
        value = now['macro'].get(name, was)
        if value > was + MACRO_ALLOWED:
            lines.append(f'{name}: {100 * (value - 1):+.3f} % over the bare machine, accepted are {100 * (was - 1):+.3f} %')
    return lines
