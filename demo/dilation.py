"""How slow the emulated CPU is: the same work (guest/calibrate) on the host and in the guest.

The guest's clock counts instructions, four nanoseconds each (QEMU's -icount), whatever else the host does. The disk is slowed
down as much as that CPU is slower than the host's ("time dilation"), so that the ratio of computing to waiting for the
disk is that of real hardware, and ratios of throughput mean what they would mean there.
"""

import math
import os
import re
import resource

import host

KINDS = ('interpret', 'compress', 'compare', 'system_calls')


def parse(lines):
    return {match.group(1): int(match.group(2)) for line in lines
            for match in [re.match(r'@?work (\w+) (\d+)$', line)] if match}


def run_on_host(work):
    """Microseconds by the clock, and those of the CPUs, with the start of the programs."""
    def used():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = used()
    passed = parse(host.run('calibrating', ['dash', os.path.join(host.GUEST, 'calibrate'), work]).splitlines())[work]
    return passed, round((used() - before) * 1e6)


def of_host():
    """Microseconds of each kind of work on this host. On a busy one the clock tells more than the work took, and the
    CPUs' time is the better measure."""
    _, idle = run_on_host('true')
    return {work: min(passed, used - idle) for work in KINDS for passed, used in [run_on_host(work)]}


def take_least(best, times):
    """Keeps the least of several measurements: other load only ever adds."""
    for work, time in times.items():
        best[work] = min(time, best.get(work, time))


def of_guest(guest):
    """The same in a running guest."""
    guest.tell('calibrate')
    lines = []
    while True:
        words = guest.answer()
        if words == ['ok', 'calibrate']:
            return parse(lines)
        lines.append(' '.join(words))


def factor(host_times, guest_times):
    """The geometric mean over the kinds of work, to one decimal place."""
    ratios = [guest_times[work] / host_times[work] for work in host_times]
    return round(math.exp(sum(math.log(ratio) for ratio in ratios) / len(ratios)), 1)
