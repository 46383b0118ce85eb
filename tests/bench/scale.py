"""What the whole machine sustains as cores are added: one VM with more vCPUs, or more VMs, all making exits at the same time.

Under -icount all CPUs are counted in one sum, so instructions per exit stay the same exactly if cores do
nothing for each other. Wall time shows that only as far as the host has cores.
"""

import machine

COUNTS = (1, 2, 4, 8)
QUICK = (1, 2, 4)
KINDS = {'hypercalls': 'null hypercall', 'accesses': 'MMIO read answered by the VMM'}


def mode(count, icount):
    """Everybody starts at the same time, when the last one surely is there."""
    return 'scale:500:10' if icount else f'scale:{2000 + 1000 * count}:500'


def one_vm(count, icount):
    return machine.system(count + 1, machine.vm('guest0', mode(count, icount), str(list(range(1, count + 1)))))


def many_vms(count, icount):
    return machine.system(count + 1, *[machine.vm(f'guest{i}', mode(count, icount), f'[{i + 1}]') for i in range(count)])


def measure(text, icount, vms):
    """{kind: ns of the whole machine for one exit}: rates add up."""
    said = machine.quoll(text, icount)
    found = [machine.results(said[f'guest{i}'], f'VM {i}') for i in range(vms)]
    return {kind: 1 / sum(1 / one[kind] for one in found) for kind in KINDS}


def run(counts, icount):
    """{"vcpus": {count: {kind: ns}}, "vms": ...}"""
    found = {'vcpus': {}, 'vms': {}}
    for count in counts:
        machine.say(f'scale: {count} vCPUs, {count} VMs, {"instructions" if icount else "wall time"}')
        found['vcpus'][count] = measure(one_vm(count, icount), icount, 1)
        found['vms'][count] = measure(many_vms(count, icount), icount, count)
    return found
