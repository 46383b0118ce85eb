"""The load: pgbench in the guest, in three settings on each disk."""

import statistics

import host

SCRIPTS = {'insert': 'single-row inserts', 'pgbench': 'pgbench -N'}
# Mode: which system, and synchronous_commit.
MODES = {'through': ('plain', 'on'), 'async': ('plain', 'off'), 'rapilog': ('rapilog', 'on')}


class Plan:
    """What to run on one disk."""

    def __init__(self, kind, scripts, clients, seconds, repeats):
        self.kind, self.scripts, self.clients, self.seconds, self.repeats = kind, scripts, clients, seconds, repeats


def plans(full):
    if full:
        return [Plan(kind, ('insert', 'pgbench'), (1, 8), 10, 5) for kind in ('7200rpm', 'consumer-ssd', 'plp-nvme')]
    return [Plan('7200rpm', ('insert',), (1, 8), 2, 3), Plan('consumer-ssd', ('insert', 'pgbench'), (8,), 2, 3),
            Plan('plp-nvme', ('insert',), (1,), 2, 3)]


def measure(machine, script, clients, seconds, synchronous):
    """One run: transactions/s, then median and 99th percentile of the latency in ms, of the guest's time."""
    words = machine.ask(f'load {script} {clients} {seconds} {synchronous}', patience=60 + 20 * seconds)
    return float(words[1]), float(words[2]) / 1000, float(words[3]) / 1000


def row(plan, mode, script, clients, runs):
    return {'disk': plan.kind, 'clients': clients, 'mode': mode, 'script': script,
            'tps': round(statistics.median(run[0] for run in runs), 2),
            'p50_ms': round(statistics.median(run[1] for run in runs), 2),
            'p99_ms': round(statistics.median(run[2] for run in runs), 2),
            'runs_tps': [round(run[0], 2) for run in runs]}


def run_setting(machine, plan, setting):
    """All runs of the modes that this setting is for, on a machine that is up."""
    modes = [mode for mode, (needed, _) in MODES.items() if needed == setting]
    rows = []
    for script in plan.scripts:
        for clients in plan.clients:
            machine.ask('checkpoint')
            runs = {mode: [] for mode in modes}
            for _ in range(plan.repeats):
                for mode in modes:
                    runs[mode].append(measure(machine, script, clients, plan.seconds, MODES[mode][1]))
            for mode in modes:
                rows.append(row(plan, mode, script, clients, runs[mode]))
                host.say(f'  {plan.kind}, {SCRIPTS[script]}, {clients} client{"s" * (clients > 1)}, {mode}: '
                         f'{rows[-1]["tps"]:.1f} transactions/s, median {rows[-1]["p50_ms"]:.1f} ms')
    return rows
