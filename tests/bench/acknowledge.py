"""What a write of 4 KiB to RapiLog costs until the guest has the interrupt: every instruction that the machine executes from the guest's notification on,
written down by a plugin (path.c) and told apart by what the memory under it holds: kernel, RapiLog, VMM, disk services."""

import collections
import os
import statistics
import struct
import subprocess

import machine

IMAGE = os.path.join(machine.RESULTS, 'acknowledge.img')
MEMORY = 16 << 20  # of the guest, as machine.vm() has it
TAKEN_BEFORE = '3'  # phases, as path.c has them
REST = ('4', '5')
SMALL = 'small'  # of a sector: what the copy of 4 KiB takes follows from the difference
SERIES = {'16': 'one', '17': 'batch_8', '18': 'batch_32', '19': 'again', '20': SMALL}
WRITES = {'one': 1, 'batch_8': 8, 'batch_32': 32, 'again': 1, SMALL: 1}
OTHER = 'other_core'
GUEST_CORE = '1'
NAMES = {
    'one': 'one write at a time, to a new block',
    'again': 'one write at a time, to a block that is in the buffer',
    'batch_8': 'batches of 8, each write',
    'batch_32': 'batches of 32, each write',
    OTHER: 'one write at a time, RapiLog on another core',
}
# A slow disk, so that the drain meets few of the writes; the one with the median count stands for all.
DISK = '{{file: {}, cache: unsafe, timing: {{like: 7200rpm, dilation: 10}}}}'
RAPILOG = '''    rapilog: {{hold_up: 10 s, core: {core}}}
    disks:
      - {{disk: disk0, label: log, filter: rapilog}}
'''
COPY = 'memcpy'
SECTORS = 8
ASKED = 3000  # instructions beside the copy, one exit


class Program:
    """The executable part of an ELF file: words by address, and names of functions."""

    def __init__(self, name, path):
        self.name = name
        with open(path, 'rb') as elf:
            data = elf.read()
        header, size, count = struct.unpack_from('<Q', data, 32)[0], *struct.unpack_from('<HH', data, 54)
        self.words = {}
        for number in range(count):
            kind, flags, offset, address, _, length = struct.unpack_from('<IIQQQQ', data, header + number * size)
            if kind == 1 and flags & 1:
                words = struct.unpack_from(f'<{length // 4}I', data, offset)
                self.words |= {address + 4 * i: word for i, word in enumerate(words)}
        said = machine.run(['llvm-nm', '--defined-only', '-n', path], 20, 'llvm-nm')
        self.symbols = [(int(line.split()[0], 16), line.split()[2]) for line in said.splitlines()
                        if line.split()[1] in 'tTwW' and not line.split()[2].startswith('$')]

    def function(self, address):
        found = 'start'
        for start, name in self.symbols:
            if start > address:
                break
            found = name
        return found

    def load_offset(self, code):
        """What to take off the virtual addresses of {virtual: word} so that it is this program's; None: it is not."""
        first = min(code)
        for address in self.words if self.name == 'kernel' else (first,):
            offset = first - address
            if offset % 4096 == 0 and all(self.words.get(virtual - offset) == word for virtual, word in code.items()):
                return offset
        return None


def programs():
    folder = machine.TARGET
    paths = {'kernel': 'kernel/quoll-kernel', 'RapiLog': 'services/rapilog/rapilog.elf', 'VMM': 'vmm/vmm.elf', 'volume': 'services/volume/volume.elf',
             'timing': 'services/timing/timing.elf', 'NVMe': 'drivers/nvme/nvme.elf', 'supervisor': 'services/supervisor/supervisor.elf',
             'console': 'services/console/console.elf', 'pl011': 'drivers/pl011/pl011.elf'}
    return [Program(name, os.path.join(folder, path)) for name, path in paths.items()]


class Path:
    """One file of the plugin's."""

    def __init__(self, place):
        self.rounds = collections.defaultdict(list)  # series: [{(phase, cpu, address): count}]
        self.exits = collections.defaultdict(list)
        code, guest = {}, set()
        with open(place, encoding='utf-8') as lines:
            for line in lines:
                kind, *words = line.split()
                if kind == 'series':
                    series = SERIES[words[0]]
                elif kind == 'round':
                    self.rounds[series].append({})
                    self.exits[series].append(collections.Counter())
                elif kind == 'at':
                    self.rounds[series][-1][words[0], words[1], words[2]] = int(words[3])
                elif kind == 'exits':
                    self.exits[series][-1][words[0]] += int(words[2])
                elif kind == 'code':
                    code[words[0]] = (int(words[1], 16), int(words[2], 16))
                    if words[3] == '1':
                        guest.add(words[0])
        self.owners = {address: ('guest', '') for address in guest}
        self.find_owners({address: found for address, found in code.items() if address not in guest})

    def find_owners(self, code):
        """Whatever lies together in memory, at the same distance from its virtual addresses, is one program."""
        known = programs()
        pieces = collections.defaultdict(dict)
        for address, (virtual, word) in code.items():
            pieces[int(address, 16) - virtual][virtual] = word
        for distance, piece in pieces.items():
            for program in known:
                offset = program.load_offset(piece)
                if offset is not None:
                    break
            for virtual in piece:
                address = f'{distance + virtual:x}'
                self.owners[address] = (program.name, program.function(virtual - offset)) if offset is not None else ('other', '')

    def count(self, found, phases, core=None):
        """{(owner, function): instructions} of a round, but for the guest's own."""
        total = collections.Counter()
        for (phase, cpu, address), times in found.items():
            owner = self.owners[address]
            if phase in phases and owner[0] != 'guest' and core in (None, cpu):
                total[owner] += times
        return total


def measure_path(core):
    """Runs the guest; RapiLog is on that core, the guest on core 1."""
    place = os.path.join(machine.RESULTS, 'path.txt')
    with open(IMAGE, 'wb') as disk:
        disk.truncate(64 << 20)
    subprocess.run(['sgdisk', '-n', '1:2048:67583', '-c', '1:log', IMAGE], check=True, stdout=subprocess.DEVNULL)
    text = machine.system(2, machine.vm('guest', 'ack', '[1]', RAPILOG.format(core=core)),
                          more=f'power_fail: powerkey\ndisks:\n  disk0: {DISK.format(IMAGE)}\n')
    plugin = machine.plugin('path')
    said = machine.quoll(text, True, '--qemu-arg', '-plugin', '--qemu-arg', f'{plugin},out={place},memory={MEMORY}')
    if 'bench acknowledge_errors 0 ' not in said['guest']:
        raise machine.Failure(f'the writes were not answered well; the guest said:\n{said["guest"][-1000:]}')
    os.unlink(IMAGE)
    return Path(place)


def median_round(path, series, core):
    """(index of the round with the median count, its count, all counts)"""
    totals = [sum(path.count(found, TAKEN_BEFORE, core).values()) for found in path.rounds[series]]
    middle = totals.index(statistics.median_low(totals))
    return middle, totals[middle], totals


def cost_of_copy(path, core):
    """Instructions that the copy of 4 KiB takes, from writes of 4 KiB and of a sector that differ in nothing else."""
    times = []
    for series in ('again', SMALL):
        middle, _, _ = median_round(path, series, core)
        times.append(path.count(path.rounds[series][middle], TAKEN_BEFORE, core)['RapiLog', COPY])
    return (times[0] - times[1]) * SECTORS / (SECTORS - 1)


def describe(path, series, core, copy):
    """The median round of a series, as instructions of one write."""
    writes = WRITES[series]
    middle, total, totals = median_round(path, series, core)
    chosen = path.rounds[series][middle]
    before, rest = path.count(chosen, TAKEN_BEFORE, core), path.count(chosen, REST, core)
    owners = collections.Counter()
    for (owner, _), times in before.items():
        owners[owner] += times
    owners['RapiLog'] -= copy * writes
    return {
        'acknowledged': total / writes,
        'copy': copy,
        'beside_copy': total / writes - copy,
        'least': min(totals) / writes,
        'most': max(totals) / writes,
        'exits': path.exits[series][middle][TAKEN_BEFORE],
        'beside_copy_by_part': {owner: times / writes for owner, times in owners.most_common()},
        'rest': sum(rest.values()) / writes,
        'rest_exits': sum(path.exits[series][middle][phase] for phase in REST),
        'functions': {f'{owner} {function}': times / writes for (owner, function), times in before.most_common()},
    }


def run():
    """{series: what describe() says}; RapiLog on the guest's core, but for "other_core", where the instructions of both cores count."""
    same, other = measure_path(1), measure_path(0)
    copy = cost_of_copy(same, GUEST_CORE)
    found = {series: describe(same, series, GUEST_CORE, copy) for series in NAMES if series != OTHER}
    found[OTHER] = describe(other, 'one', None, copy)
    return found


def table(found):
    lines = [f'{"acknowledging a write of 4 KiB: instructions":58} {"beside":>7} {"asked":>7} {"copy":>6} {"exits":>5}   kernel  RapiLog     VMM  after the interrupt']
    for series, what in NAMES.items():
        one = found[series]
        parts = one['beside_copy_by_part']
        asked = '' if series == OTHER else f'{ASKED}'
        met = '' if series == OTHER else 'met' if one['beside_copy'] <= ASKED and one['exits'] <= 1 else 'not met'
        lines.append(f'{what:58} {one["beside_copy"]:>7.0f} {asked:>7} {one["copy"]:>6.0f} {one["exits"]:>5} '
                     + ''.join(f'{parts.get(name, 0):>9.0f}' for name in ('kernel', 'RapiLog', 'VMM')) + f' {one["rest"]:>8.0f} in {one["rest_exits"]} exits  {met}')
    return '\n'.join(lines)


def functions(found):
    """What one write alone is made of, and one in a batch."""
    alone, batch = (found[series]['functions'] for series in ('one', 'batch_32'))
    lines = [f'{"instructions of one write":44} {"alone":>8} {"in a batch of 32":>17}']
    return '\n'.join(lines + [f'{name:44} {times:>8.0f} {batch.get(name, 0):>17.1f}' for name, times in alone.items()])
