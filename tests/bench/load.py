"""Loads on a modelled disk, with and without RapiLog: a small Linux guest (guests/bench/linux/storage.c) on Quoll, the disk behind
the timing service. The machine's clock counts instructions and jumps while all CPUs wait, so neither the host's speed nor its load
is in the figures, and waiting costs no time.

The emulated CPU executes one instruction in a nanosecond; a real one does several. The disk is slowed down as much (DILATION),
so that the ratio of computing to waiting is that of real hardware.
"""

import concurrent.futures
import os
import re
import tempfile

import linux
import machine

DILATION = 8  # a CPU that executes 8 instructions in a nanosecond
ICOUNT = 'shift=0,sleep=off'
PLACE = os.path.join(machine.BUILD, 'guests', 'linux-storage')
AT_ONCE = 2
SECONDS = 570
VOLUME, DUMP = 8 << 10, 1 << 10  # MiB
TIMING = ', timing: {{like: {disk}, dilation: {dilation}, reads: {reads}}}'
DISKS = ('7200rpm', 'consumer-ssd', 'plp-nvme', 'network-2ms')
MODES = ('plain', 'through', 'held', 'held ordered')

SYSTEM = '''machine: {{cores: 2, cpu: {cpu}}}
power_fail: powerkey
disks:
  disk0: {{file: {image}, cache: unsafe{timing}}}
vms:
  guest:
    memory: {guest} MiB
    vcpus: [1]
    kernel: {kernel}
    initrd: {initrd}
    command_line: console=hvc0 quiet loglevel=0 nokaslr kpti=off randomize_kstack_offset=off norandmaps panic=1
    seed: bench
    disks:
      - {{disk: disk0, label: log{filter}}}
'''
RAPILOG = '    rapilog: {{mode: {mode}, core: {core}, memory: {memory} MiB{more}}}\n'


class Point:
    """One machine: a disk (None: the host's file as it is, in real time), a mode, a hold-up time (ms of the power supply), RapiLog's memory (MiB) and core (the guest's is 1), and the loads that run on it one after
    the other: {name: (load, clients, operations before, operations[, mark])}."""

    def __init__(self, disk, mode, loads, hold_up=1000, memory=64, reads='free', guest=128, core=1):
        self.disk, self.mode, self.loads, self.hold_up, self.memory = disk, mode, loads, hold_up, memory
        self.reads, self.guest, self.core = reads, guest, core

    def rapilog(self):
        more = f', hold_up: {self.hold_up * DILATION} ms' if self.mode != 'through' else ''
        more += ', dump: dump' if self.mode == 'held ordered' else ''
        return RAPILOG.format(mode=self.mode, core=self.core, memory=self.memory, more=more)

    def description(self, image, initrd):
        timing = '' if self.disk is None else TIMING.format(disk=self.disk, dilation=DILATION, reads=self.reads)
        text = SYSTEM.format(cpu=machine.CPU, image=image, timing=timing, guest=self.guest, kernel=linux.KERNEL, initrd=initrd,
                             filter='' if self.mode == 'plain' else ', filter: rapilog')
        return text if self.mode == 'plain' else text + self.rapilog()


def build():
    """The guest's program; its kernel and initramfs are those of guests/linux."""
    os.makedirs(PLACE, exist_ok=True)
    linux.build_base()
    machine.run(['aarch64-linux-gnu-gcc', '-std=c17', '-static', '-O2', '-Wall', '-Wextra', '-Werror', '-o', os.path.join(PLACE, 'storage'),
                 os.path.join(linux.SOURCE, 'storage.c')], 60, 'building the loads')


def make_disk(folder):
    place = os.path.join(folder, 'disk.img')
    with open(place, 'wb') as disk:
        disk.truncate((VOLUME + DUMP + 2) << 20)
    machine.run(['sgdisk', '-n', f'1:2048:+{VOLUME}M', '-c', '1:log', '-n', f'2:0:+{DUMP}M', '-c', '2:dump', place], 20, 'the disk')
    return place


def make_initrd(folder, loads):
    initramfs = linux.initramfs_module()
    jobs = os.path.join(folder, 'jobs')
    with open(jobs, 'w', encoding='utf-8') as out:
        for name, words in loads.items():
            out.write(f'{name} {" ".join(str(word) for word in words)}\n')
    place = os.path.join(folder, 'initrd.img')
    initramfs.complete(os.path.join(linux.BASE, 'initrd.img'), os.path.join(linux.SOURCE, 'storage-init'), [jobs, os.path.join(PLACE, 'storage')], place)
    return place


def measure(point, *more):
    """{name: {"rate": operations a second, "p50_us", "p99_us"}}, as on the undilated disk; and what the log said."""
    with tempfile.TemporaryDirectory(prefix='quoll-load-') as folder:
        text = point.description(make_disk(folder), make_initrd(folder, point.loads))
        said = machine.quoll(text, False, '--icount', 'shift=0' if point.disk is None else ICOUNT, *more, seconds=SECONDS)
    if 'loads: done' not in said['guest']:
        raise machine.Failure(f'{point.disk}, {point.mode}: the loads did not end; the guest said:\n{said["guest"][-2000:]}\n{said["log"][-2000:]}')
    found = {}
    for name, operations, *times in re.findall(r'^load (\S+) (\d+) (\d+) (\d+) (\d+)$', said['guest'], re.M):
        ns, p50, p99 = (int(word) / DILATION for word in times)
        found[name] = {'rate': int(operations) / ns * 1e9, 'p50_us': p50 / 1000, 'p99_us': p99 / 1000}
    if len(found) != len(point.loads):
        raise machine.Failure(f'{point.disk}, {point.mode}: loads are missing; the guest said:\n{said["guest"][-2000:]}')
    return found, said['log']


def measure_all(points):
    """What measure() finds, in the order of the points; several machines at a time."""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return [found for found, _ in pool.map(measure, points)]
