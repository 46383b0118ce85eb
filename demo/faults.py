"""The faults: what the outside witness saw acknowledged, something dies, and what is there afterwards.

The witness is this program: it reads the guest's console, where psql prints a number after the COMMIT of its row has
returned. It runs on the host, so nothing that happens to the guest touches it.
"""

import functools
import random
import time

import disk as disks
import guest_disk
import host
import jobs
import systems

CLIENTS = 4
KINDS = {'kill': 'PostgreSQL killed with SIGKILL', 'panic': 'guest kernel panic', 'mains': 'mains cut'}
MODES = {'through': ('plain', 'on'), 'async': ('plain', 'off'), 'rapilog': ('rapilog', 'on'),
         'unsafe_no_drain': ('unsafe', 'on')}

# Seconds, about, for each round.
COST = {'kill': 15, 'panic': 40, 'mains': 25}

VCPUS = 2
# A UPS. The disk is made slow enough below that with less RapiLog would, on a busy host, acknowledge from the disk.
HOLD_UP_MS = 60000
# What the witness sees has passed through an emulated UART, so it is some tenths of a second old. While transactions are acknowledged
# that the mains will be cut from, the disk is so much slower that it is further behind than that, or nothing that was seen could be
# lost, whatever RapiLog did.
SLOWER = {'through': 10, 'async': 100, 'rapilog': 100, 'unsafe_no_drain': 300}


class Round:
    """One fault: the machine before, the machine after, and the count. `next_setting`: of the round that follows, so that
    where a fault ends the machine, the one that counts can be the one that goes on."""

    def __init__(self, rig, machine, mode, next_setting):
        self.rig, self.machine, self.mode, self.next_setting = rig, machine, mode, next_setting

    def start_load(self):
        """Every client inserts from the first number that is not in the table."""
        for client in range(1, CLIENTS + 1):
            first = int(self.machine.ask(f'last {client}')[2]) + 1
            self.machine.witness.expect(client, first)
            self.machine.tell(f'witness {client} {first} {MODES[self.mode][1]}')

    def let_run(self):
        """Until every client has something to lose, and then for a random moment more."""
        until = time.monotonic() + 60
        while len(self.machine.witness.seen()) < CLIENTS:
            if time.monotonic() > until:
                raise host.Failure('the witness saw no acknowledged transaction for 60 s; the console is in '
                                   + self.machine.log_path)
            time.sleep(0.02)
        time.sleep(self.rig.random.uniform(0.5, 1.5))

    def count_missing(self, seen):
        missing = 0
        for client, (first, last) in sorted(seen.items()):
            missing += int(self.machine.ask(f'missing {client} {first} {last}', patience=300)[2])
        return missing

    def run(self, kind):
        """Returns how many transactions were acknowledged and how many of them are missing; the machine is up again."""
        witness = self.machine.witness
        self.rig.disk.slow_down(SLOWER[self.mode] if kind == 'mains' else 1)
        self.start_load()
        self.let_run()
        getattr(self.rig, 'fault_' + kind)(self)
        seen = witness.seen()
        missing = self.count_missing(seen)
        return sum(last - first + 1 for first, last in seen.values()), missing


class Rig:
    """Injects faults into machines on one disk."""

    def __init__(self, systems, disk, seed):
        self.systems, self.disk = systems, disk
        self.random = random.Random(seed)

    def fault_kill(self, this):
        this.machine.ask('kill')
        this.machine.wait_ended(CLIENTS)
        this.machine.ask('start', patience=300)

    def fault_panic(self, this):
        this.machine.tell('panic')
        this.machine.wait_ready(patience=300)
        this.machine.ask('start', patience=300)

    def fault_mains(self, this):
        """RapiLog gets the power-fail signal, and then as long as the power supply lasts; nothing else gets either."""
        setting = MODES[this.mode][0]
        if setting != 'plain':
            this.machine.power_key()
            this.machine.wait_end_at_most(HOLD_UP_MS / 1000)
        self.disk.cut()
        this.machine.kill()
        self.disk.restore()
        self.disk.slow_down(1)
        this.machine = self.systems.boot(this.next_setting, self.disk)


def check(machine):
    machine.ask('check', patience=300)
    host.say("  after the faults on RapiLog the database is whole: indexes match their tables, pgbench's sums agree")


def run_chain(name, wanted, seed):
    """Rounds, as (mode, kind), one after the other on one disk. Returns the results' rows."""
    disk = disks.ModelledDisk(guest_disk.fresh_copy(f'{name}.raw'), '7200rpm', 1, seed)
    rig = Rig(systems.Systems(name, VCPUS, HOLD_UP_MS), disk, seed)
    settings = [MODES[mode][0] for mode, _ in wanted]
    machine, rows = None, {}
    try:
        machine = rig.systems.boot(settings[0], disk)
        for number, (mode, kind) in enumerate(wanted):
            this = Round(rig, machine, mode, (settings + ['plain'])[number + 1])
            try:
                seen, missing = this.run(kind)
            finally:
                machine = this.machine
            row = rows.setdefault((mode, kind), {'kind': kind, 'mode': mode, 'rounds': 0, 'acknowledged': 0, 'lost': 0,
                                                 'disk': disk.kind})
            row['rounds'] += 1
            row['acknowledged'] += seen
            row['lost'] += missing
            host.say(f'  {KINDS[kind]}, {mode}, round {row["rounds"]}: {seen} acknowledged, {missing} missing')
            if mode == 'rapilog' and 'rapilog' not in [later for later, _ in wanted[number + 1:]]:
                check(machine)
    finally:
        if machine and machine.running():
            machine.kill()
        disk.stop()
    return list(rows.values())


def jobs_of(rounds, seed):
    """Two disks. On the second the mains are cut again and again; the loss that may leave a database in pieces comes last."""
    chains = [[('rapilog', 'kill')] * rounds + [('rapilog', 'panic')] * rounds,
              [('rapilog', 'mains')] * rounds + [('through', 'mains')] + [('async', 'mains')] * ((rounds + 1) // 2)
              + [('unsafe_no_drain', 'mains')]]
    return [jobs.Job(f'faults, disk {number}', sum(COST[kind] for _, kind in chain),
                     functools.partial(run_chain, f'faults-{number}', chain, seed + number))
            for number, chain in enumerate(chains, 1)]
