"""What each round is: everything follows from the seed and the round's number, so that a round can be had again alone."""

import random

import inflict
import postgresql
import raw
import sqlite
from inflict import FAULTS

WORKLOADS = {'raw': raw.Raw, 'sqlite': sqlite.Sqlite, 'postgresql': postgresql.PostgreSql}
CHANCE = {'raw': 14, 'sqlite': 4, 'postgresql': 2}  # of 20
DISKS = ('7200rpm', 'consumer-ssd', 'plp-nvme')
DRIVERS = ('nvme', 'virtio')
MODES = ('plain', 'through', 'held', 'held ordered')
MODE_CHANCE = {'plain': 1, 'through': 2, 'held': 8, 'held ordered': 6}
ABSENT_MODES = {}  # mode to the reason why it cannot be tried
MEMORY = (1, 2, 8)  # MiB, RapiLog's; the smaller, the more often writes must wait for space
STARTING = 5000  # ms: see give_time()
BREAKS = ('no-drain', 'lying-flush', 'short-hold-up')


class Setting:
    """Of one round."""

    def __init__(self, number, chance):
        self.number = number
        self.seed = chance.randrange(1, 1 << 40)
        self.driver = chance.choice(DRIVERS)
        self.vcpus = chance.choice(('[1]', '[2]', '[1, 2]'))
        self.hold_up = chance.choice((4000, 6000, 10000))  # ms
        self.survive = chance.choice((0, 0, 30, 70, 100))
        self.kill_after, self.kill_every = chance.randint(1500, 4000), chance.randint(1000, 3000)  # ms
        self.memory = MEMORY[self.seed % len(MEMORY)]
        self.flush, self.no_drain = 'honest', False
        self.fault = self.mode = self.workload = self.disk = None
        self.dump = self.short = False

    def mode_name(self):
        if self.short:
            return self.mode + ', hold-up too short'
        if self.no_drain:
            return self.mode + ', no drain'
        if self.flush == 'lies':
            return self.mode + ', lying flush'
        return self.mode + (', dump area' if self.dump and self.mode == 'held' else '')

    def describe(self):
        return f'{self.fault} | {self.mode_name()} | {self.workload} on {self.disk} ({self.driver})'


def pick(chance, weights):
    return chance.choices(list(weights), list(weights.values()))[0]


class Plan:
    """`wanted`: the options of the command line."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.skipped = {}
        self.modes = self.known_modes()
        self.faults = self.known_faults()

    def known_modes(self):
        asked = [self.wanted.mode] if self.wanted.mode else ['held'] if self.wanted.broken else list(MODES)
        for mode in asked:
            if mode in ABSENT_MODES:
                self.skipped['mode ' + mode] = ABSENT_MODES[mode]
        return [mode for mode in asked if mode not in ABSENT_MODES]

    def known_faults(self):
        asked = [inflict.check_known(self.wanted.fault)] if self.wanted.fault else [*FAULTS, *inflict.ABSENT]
        if self.wanted.broken and not self.wanted.fault:
            asked = ['mains', 'mains-late', 'kill+mains', 'panic+mains']
        for fault in asked:
            if fault in inflict.ABSENT:
                self.skipped['fault ' + fault] = inflict.ABSENT[fault]
        return [fault for fault in asked if fault not in inflict.ABSENT and self.modes_for(fault)]

    def modes_for(self, fault):
        return [mode for mode in self.modes if mode in FAULTS[fault].modes + FAULTS[fault].order_only]

    def deck(self, turn):
        """Each kind of fault once, and two pairs of faults; in random order."""
        chance = random.Random(f'{self.wanted.seed} deck {turn}')
        pairs = [fault for fault in self.faults if '+' in fault]
        deck = [fault for fault in self.faults if '+' not in fault] + chance.sample(pairs, min(2, len(pairs)))
        chance.shuffle(deck)
        return deck

    def fault_of(self, number):
        size = len(self.deck(0))
        return self.deck(number // size)[number % size]

    def setting(self, number):
        """Returns the round's setting, its workload and the source of what else is random in it."""
        chance = random.Random(f'{self.wanted.seed} round {number}')
        setting = Setting(number, chance)
        setting.fault = self.fault_of(number)
        setting.mode = pick(chance, {mode: MODE_CHANCE[mode] for mode in self.modes_for(setting.fault)})
        setting.dump = setting.mode == 'held ordered' or (setting.mode == 'held' and chance.random() < 0.3)
        setting.workload = self.wanted.workload or pick(chance, CHANCE)
        setting.driver = self.wanted.driver or setting.driver
        setting.disk = self.wanted.disk or chance.choice(DISKS)
        self.give_time(setting)
        if self.wanted.broken:
            self.break_it(setting, chance)
        return setting, WORKLOADS[setting.workload](chance), chance

    def give_time(self, setting):
        """RapiLog begins to put in place what is in the dump area again after each restart, and on a slow disk only a small memory's contents
        get there before the next one."""
        if setting.disk == '7200rpm' and FAULTS[setting.fault].victim == 'rapilog':
            setting.kill_every += STARTING
            setting.memory = min(MEMORY)

    def break_it(self, setting, chance):
        how = self.wanted.broken if self.wanted.broken in BREAKS else chance.choice(BREAKS)
        setting.survive = 0
        setting.no_drain = how == 'no-drain'
        if how == 'short-hold-up':  # of what `held` does not survive
            setting.short, setting.fault = True, 'mains-short'
        if how == 'lying-flush':
            setting.flush = 'lies'
            if not self.wanted.disk and setting.disk == 'plp-nvme':  # it has no cache to lie about
                setting.disk = 'consumer-ssd'
