"""The faults: what happens to the machine while it is under load.

Each fault is a function of a stage (see stage.py), a source of randomness and the witness' hand-over: it returns True when
the machine is up afterwards with its guest waiting for orders, False when it is without power. FAULTS lists them in the
words of the result; ABSENT names those that this tree cannot do yet, and why.
"""

import time

import host


OFF_AFTER = 3  # seconds for which a machine waits for the mains after its drain, where they come back
KILLS = 3  # of a component under load, at least
SLOWER = (1, 8, 64, 512)  # times, where the hold-up time is to be too short
DRAIN_STEPS = (4, 15, 60)  # commands to the disk; a drain of some commits takes three or four, one of much data all of them
SHORTEST_LOSS = 0.15  # seconds; a press of the power key lasts 0.1 s


def pause(random, low, high):
    time.sleep(random.uniform(low, high))


def end_writers(stage):
    """Only a disk that refuses something is a reason for a writer to fail."""
    stage.machine.tell('kill')
    said = stage.workload.wait_killed(stage.machine)
    if said and not stage.setting.fault.startswith('disk'):
        raise host.Failure(f'the disk refuses nothing, and yet the guest said: {"; ".join(said)}; the console is in '
                           + stage.machine.log_path)


# ------------------------------------------------------------------------------------------------- in the guest

def kill(stage, random):
    end_writers(stage)
    return True


def panic(stage, random):
    stage.machine.tell('panic')
    stage.wait_ready_again()
    return True


def reset(stage, random):
    stage.machine.tell('reset')
    stage.wait_ready_again()
    return True


def hang(stage, random):
    """Nothing runs in the guest any more; somebody switches the machine off, and that is a loss of mains."""
    stage.machine.tell('hang')
    pause(random, 0.2, 1)
    return mains(stage, random)


# ------------------------------------------------------------------------------------------------- the mains

def drain_and_die(stage):
    """The signal, if the description has one; then as long as the power supply lasts; then nothing."""
    if stage.setting.mode.startswith('held'):
        stage.power_key()
        stage.machine.wait_end_at_most(stage.hold_up_seconds())
    stage.mains_off()


def mains(stage, random):
    """Power never comes back to this machine: its disk is read without it, or, where there is a dump area, by another one."""
    drain_and_die(stage)
    return False


def mains_late(stage, random):
    """Power comes back after the end of the hold-up time; the machine boots again."""
    drain_and_die(stage)
    stage.mains_on()
    return True


def go_on(stage):
    """After that the workload must go on by itself, and is then ended."""
    before = stage.machine.witness.total()
    until = time.monotonic() + 60
    while stage.machine.witness.total() <= before:
        if time.monotonic() > until or not stage.machine.running():
            end_writers(stage)  # they may have said why
            raise host.Failure('everything is back, and the guest does not go on; the console is in '
                               + stage.machine.log_path)
        time.sleep(0.02)
    end_writers(stage)


def mains_early(stage, random):
    """Power comes back during the drain, or soon after."""
    stage.power_key()
    pause(random, SHORTEST_LOSS, 0.4)
    stage.power_key()
    go_on(stage)
    return True


def mains_in_time(stage, random):
    """Power comes back before the machine has switched itself off: it waits that long after the drain."""
    stage.power_key()
    pause(random, 0.5, OFF_AFTER / 2)
    stage.power_key()
    go_on(stage)
    return True


def mains_twice(stage, random):
    """Power comes back during the drain, and is lost again, for good."""
    stage.power_key()
    pause(random, SHORTEST_LOSS, 0.4)
    stage.power_key()
    pause(random, SHORTEST_LOSS, 0.6)
    return mains(stage, random)


def mains_short(stage, random):
    """The power supply does not last as long as it should: it ends at any step of the drain, the first ones more often. Often the
    disk has become slower than it was measured, so that there is something to drain."""
    if stage.setting.mode.startswith('held'):
        stage.disk.slow_down(random.choice(SLOWER))
        pause(random, 0.2, 2)
        stage.power_key()
        stage.disk.tell(f'cut-after {random.randint(1, random.choice(DRAIN_STEPS))}')
        until = time.monotonic() + stage.hold_up_seconds()
        while stage.machine.running() and stage.disk.has_power() and time.monotonic() < until:
            time.sleep(0.01)
    stage.mains_off()
    return False


# ------------------------------------------------------------------------------------------------- the disk

def end_load(stage):
    """The workload may have ended by itself when its disk refused something; a file system then needs a boot."""
    if stage.workload.survives_errors:
        end_writers(stage)
    else:
        stage.machine.tell('reset')
        stage.wait_ready_again()


def disk_transient(stage, random):
    """For a while, some of the writes and flushes fail."""
    stage.disk.tell(f'errors {random.choice((2, 10, 50))}')
    pause(random, 0.5, 2)
    stage.disk.tell('errors 0')
    pause(random, 0, 0.5)
    end_load(stage)
    return True


def disk_permanent(stage, random):
    """All fail until somebody has mended the disk."""
    stage.disk.tell('errors 100')
    pause(random, 1, 3)
    stage.disk.tell('errors 0')
    end_load(stage)
    return True


def disk_sector(stage, random):
    """One sector that is in use cannot be written until the disk has found it another place."""
    stage.disk.tell('bad last')
    pause(random, 0.5, 2)
    stage.disk.tell('bad none')
    end_load(stage)
    return True


# ------------------------------------------------------------------------------------------------- Quoll's own parts

def component(stage):
    """The supervisor kills it again and again, from before the load until the end."""
    killed = stage.count_log('is killed and restarted')
    until = time.monotonic() + 60
    while stage.count_log('is killed and restarted') < killed + KILLS:
        if time.monotonic() > until or not stage.machine.running():
            raise host.Failure(f'the supervisor did not kill {stage.victim()} {KILLS} times in 60 s; the log is in '
                               + stage.logs()[-1])
        time.sleep(0.05)


def killed_part(stage, random):
    component(stage)
    go_on(stage)
    return True


def killed_part_mains(stage, random):
    component(stage)
    return mains(stage, random)


# ------------------------------------------------------------------------------------------------- two at once

def panic_mains(stage, random):
    """The mains fail while the guest is on its way up again."""
    stage.machine.tell('panic')
    pause(random, 0, 2)
    return mains(stage, random)


def kill_mains(stage, random):
    stage.machine.tell('kill')
    pause(random, 0, 0.3)
    return mains(stage, random)


def disk_mains(stage, random):
    """The disk refuses some of what the drain writes; it is mended before somebody looks at it."""
    stage.disk.tell(f'errors {random.choice((5, 20))}')
    pause(random, 0, 0.5)
    boots_again = mains(stage, random)
    stage.disk.tell('errors 0')
    return boots_again


def disk_reset(stage, random):
    stage.disk.tell(f'errors {random.choice((5, 20))}')
    stage.machine.tell('reset')
    pause(random, 0, 1)
    stage.disk.tell('errors 0')
    stage.wait_ready_again()
    return True


HELD = ('held', 'held ordered')
ALL = ('plain', 'through', *HELD)


class Fault:
    """`modes`: where nothing acknowledged may be missing afterwards. `order_only`: where that may, but no disorder be seen.
    `waits`: the machine waits for the mains to come back. `victim`: the component that the supervisor kills. `kind`: what several
    faults have in common, in the words of the result's second table."""

    def __init__(self, function, text, modes=ALL, order_only=(), waits=False, victim=None, kind=None):
        self.function, self.text, self.modes, self.order_only = function, text, modes, order_only
        self.waits, self.victim, self.kind = waits, victim, kind or text

    def inflict(self, stage, random):
        return self.function(stage, random)


FAULTS = {
    'kill': Fault(kill, 'database or writer killed'),
    'panic': Fault(panic, 'guest kernel panic'),
    'hang': Fault(hang, 'guest hangs, then the mains fail', ('through', *HELD)),
    'reset': Fault(reset, 'VM reset'),
    'mains': Fault(mains, 'mains lost, power never returns'),
    'mains-early': Fault(mains_early, 'mains lost, power returns early', HELD, waits=True),
    'mains-in-time': Fault(mains_in_time, 'mains lost, power returns in time', HELD, waits=True),
    'mains-late': Fault(mains_late, 'mains lost, power returns late'),
    'mains-short': Fault(mains_short, 'mains lost, hold-up too short', ('through',), ('held ordered',)),
    'driver': Fault(killed_part, 'disk driver killed', victim='driver', kind='disk driver or volume service killed'),
    'volume': Fault(killed_part, 'volume service killed', victim='volume', kind='disk driver or volume service killed'),
    'vmm': Fault(killed_part, 'VMM killed', victim='vmm'),
    'rapilog': Fault(killed_part, 'RapiLog killed', ('through', *HELD), victim='rapilog'),
    'disk-transient': Fault(disk_transient, 'disk errors, transient'),
    'disk-permanent': Fault(disk_permanent, 'disk errors, until it is mended'),
    'disk-sector': Fault(disk_sector, 'disk error, one sector'),
    'panic+mains': Fault(panic_mains, 'guest kernel panic and mains'),
    'kill+mains': Fault(kill_mains, 'writer killed and mains'),
    'disk+mains': Fault(disk_mains, 'disk errors and mains', HELD),
    'mains+mains': Fault(mains_twice, 'mains lost, back, lost again', HELD, waits=True),
    'driver+mains': Fault(killed_part_mains, 'disk driver killed and mains', HELD, victim='driver'),
    'rapilog+mains': Fault(killed_part_mains, 'RapiLog killed and mains', HELD, victim='rapilog'),
    'disk+reset': Fault(disk_reset, 'disk errors and VM reset'),
}

ABSENT = {}


def check_known(name):
    if name not in FAULTS:
        raise host.Failure(f'there is no fault `{name}`; there are: {", ".join(FAULTS)}')
    return name
