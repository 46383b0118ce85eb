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
AT_ONCE = 2  # machines
KINDS = {'kill': 'PostgreSQL killed with SIGKILL', 'panic': 'guest kernel panic', 'mains': 'mains cut'}
MODES = {'through': ('plain', 'on'), 'async': ('plain', 'off'), 'rapilog': ('rapilog', 'on'),
         'unsafe_no_drain': ('unsafe', 'on')}

VCPUS = '[1, 2]'
HOLD_UP_MS = 15000  # a small UPS
# What the witness sees has passed through an emulated UART, so it is some tenths of a second old. While transactions are acknowledged
# that the mains will be cut from, the disk is so much slower that it is further behind than that, or nothing that was seen could be
# lost, whatever RapiLog did.
SLOWER = {'through': 10, 'async': 40, 'rapilog': 100, 'unsafe_no_drain': 100}


class Round:
    """One fault: the machine before, the machine after, and the count."""

    def __init__(self, rig, machine, mode):
        self.rig, self.machine, self.mode = rig, machine, mode

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
        this.machine.wait_ready()
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
        this.machine = self.systems.boot(setting, self.disk)

    def rounds(self, machine, mode, kind, count):
        """`count` rounds of one fault. Returns the machine that is up afterwards, and the result's row."""
        acknowledged = lost = 0
        for number in range(count):
            this = Round(self, machine, mode)
            try:
                seen, missing = this.run(kind)
            finally:
                machine = this.machine
            host.say(f'  {KINDS[kind]}, {mode}, round {number + 1}: {seen} acknowledged, {missing} missing')
            acknowledged += seen
            lost += missing
        return machine, {'kind': kind, 'mode': mode, 'rounds': count, 'acknowledged': acknowledged, 'lost': lost,
                         'disk': self.disk.kind}


def run_on(name, setting, wanted, seed):
    """Faults on one disk, one machine after the other. Returns the results' rows."""
    disk = disks.ModelledDisk(guest_disk.fresh_copy(f'{name}.raw'), '7200rpm', 1, seed)
    rig = Rig(systems.Systems(name, VCPUS, HOLD_UP_MS), disk, seed)
    machine, rows = None, []
    try:
        machine = rig.systems.boot(setting, disk)
        for mode, kind, rounds in wanted:
            machine, row = rig.rounds(machine, mode, kind, rounds)
            rows.append(row)
        if setting == 'rapilog':
            machine.ask('check', patience=300)
            host.say("  after these the database is whole: indexes match their tables, pgbench's sums agree")
    finally:
        if machine and machine.running():
            machine.kill()
        disk.stop()
    return rows


def run(rounds, seed):
    host.say(f'faults: the log on RapiLog, and for comparison on the plain disk, {AT_ONCE} machines at a time')
    wanted = [('rapilog', [('rapilog', 'kill', rounds), ('rapilog', 'panic', rounds)]),
              ('rapilog', [('rapilog', 'mains', rounds)]),
              ('plain', [('through', 'mains', 1), ('async', 'mains', rounds)]),
              ('unsafe', [('unsafe_no_drain', 'mains', 1)])]
    runs = [functools.partial(run_on, f'faults-{number}', setting, faults, seed + number)
            for number, (setting, faults) in enumerate(wanted)]
    return [row for rows in jobs.Jobs(runs).run(AT_ONCE) for row in rows]
