"""The load: pgbench in the guest, in three settings on each disk.

Runs under -icount: the machine's clock counts the instructions of all its CPUs, so neither the host's speed nor its other
work is in the figures, and several machines can be measured side by side. The disk's delays follow the same clock, which jumps over
time in which the machine only waits.
"""

import functools
import os
import statistics

import disk as disks
import guest_disk
import host
import jobs
import machine
import systems

SCRIPTS = {'insert': 'single-row inserts', 'pgbench': 'pgbench -N'}
# Mode: which system, and synchronous_commit.
MODES = {'through': ('plain', 'on'), 'async': ('plain', 'off'), 'rapilog': ('rapilog', 'on'), 'ideal': ('bare', 'on')}
KINDS = ('7200rpm', 'consumer-ssd', 'plp-nvme')

# Under -icount the machine's CPUs take turns, so a second one would add nothing but its own work.
VCPUS = 1
# How long the power supply lasts after the mains fail, for each disk. A rotating disk needs a small UPS: its last
# FLUSH may have to write out all that other volumes have left in its cache. 16 ms is what an ATX supply must give.
HOLD_UP_MS = {'7200rpm': 3000, 'consumer-ssd': 16, 'plp-nvme': 16}

# Seconds of a CPU, about, for each load, and for the start of a machine.
COST = {'plain': 15, 'rapilog': 15, 'bare': 8, 'boot': 8}

# Transactions of one run, all clients together: enough for a 99th percentile where they are quick, few where each
# waits for a disk.
TRANSACTIONS = 400
TRANSACTIONS_THROUGH = {'7200rpm': 48, 'consumer-ssd': 80, 'plp-nvme': 200}
SLOW_SCRIPT = {'insert': 1, 'pgbench': 2}  # its transactions are that many times as long


class Plan:
    """What to run on one disk."""

    def __init__(self, kind, loads, repeats, scale):
        self.kind, self.loads, self.repeats, self.scale = kind, loads, repeats, scale

    def transactions(self, mode, script, clients):
        """Of each client."""
        count = TRANSACTIONS_THROUGH[self.kind] if mode == 'through' else TRANSACTIONS / SLOW_SCRIPT[script]
        return max(8, round(self.scale * count / clients))


def plans(full):
    """A plan is a disk with (script, clients) pairs."""
    everything = [(script, clients) for script in SCRIPTS for clients in (1, 8)]
    if full:
        return [Plan(kind, everything, 5, 2) for kind in KINDS]
    return [Plan('7200rpm', [('insert', 1), ('insert', 8), ('pgbench', 8)], 3, 1),
            Plan('consumer-ssd', [('insert', 8)], 3, 1), Plan('plp-nvme', [('insert', 1)], 3, 1)]


def measure(guest, script, clients, transactions, synchronous):
    """One run: transactions/s, then median and 99th percentile of the latency in ms, of the guest's time."""
    words = guest.ask(f'load {script} {clients} {transactions} {synchronous}', patience=600)
    return float(words[1]), float(words[2]) / 1000, float(words[3]) / 1000


def row(plan, mode, script, clients, runs):
    return {'disk': plan.kind, 'clients': clients, 'mode': mode, 'script': script,
            'transactions': clients * plan.transactions(mode, script, clients),
            'tps': round(statistics.median(run[0] for run in runs), 2),
            'p50_ms': round(statistics.median(run[1] for run in runs), 3),
            'p99_ms': round(statistics.median(run[2] for run in runs), 3),
            'runs_tps': [round(run[0], 2) for run in runs]}


def run_loads(guest, plan, modes):
    """All runs of these modes on a machine that is up."""
    rows = []
    for script, clients in plan.loads:
        guest.ask('checkpoint')
        for mode in modes:
            count = plan.transactions(mode, script, clients)
            measure(guest, script, clients, max(8, count // 4), MODES[mode][1])  # warms up; not counted
            runs = [measure(guest, script, clients, count, MODES[mode][1]) for _ in range(plan.repeats)]
            rows.append(row(plan, mode, script, clients, runs))
            host.say(f'  {plan.kind}, {SCRIPTS[script]}, {clients} client{"s" * (clients > 1)}, {mode}: '
                     f'{rows[-1]["tps"]:.1f} transactions/s, median {rows[-1]["p50_ms"]:.2f} ms')
    return rows


def run_setting(plan, setting, dilation):
    """One machine: the plan's loads in the modes that this setting is for."""
    name = f'{plan.kind}-{setting}'
    image = guest_disk.fresh_copy(f'{name}.raw')
    if setting == 'bare':
        guest = guest_disk.bare_machine(image, name, *machine.COUNTING)
        guest.wait_ready()
        guest.ask('start', patience=300)
    else:
        rig = systems.Systems(name, VCPUS, HOLD_UP_MS[plan.kind] * dilation, ['--icount', machine.ICOUNT])
        guest = rig.boot(setting, disks.TimedDisk(image, plan.kind, dilation))
    try:
        return run_loads(guest, plan, [mode for mode, (needed, _) in MODES.items() if needed == setting])
    finally:
        if guest.running():
            guest.kill()
        os.unlink(image)


def jobs_of(full, dilation):
    """A job for each machine. Their results are rows; those of mode "ideal" are of bare QEMU, with a disk that knows no delay."""
    all_plans = plans(full)
    inserts = [load for load in all_plans[0].loads if load[0] == 'insert']  # where a commit is most of a transaction
    ideal = Plan('ideal', inserts, all_plans[0].repeats, all_plans[0].scale)
    pairs = [(plan, setting) for plan in all_plans for setting in ('plain', 'rapilog')] + [(ideal, 'bare')]
    return [jobs.Job(f'load, {plan.kind}, {setting}', COST[setting] * len(plan.loads) + COST['boot'],
                     functools.partial(run_setting, plan, setting, dilation)) for plan, setting in pairs]
