"""The raw workload's other half: makes its disk, and judges what is on it after a fault, sector by sector.

guest/raw.c tells what the guest writes: operation N of a writer is write 2N-1 to the log and then write 2N to the data, and
every sector names its write and how many writes of each writer had been acknowledged before it. So of a disk one can say:

    lost           a write of an operation that the witness saw acknowledged, and a sector of it holds something older
    out of order   a write that must have been acknowledged before something that is on the disk was begun, and a
                   sector of it holds something older: what is on the disk is no prefix of the history

A write in flight at the fault may be there, in part or not at all.
"""

import struct
import zlib

import guest
import host
from verdict import Verdict

SECTOR = 512
ALIGNMENT = 2048  # sectors
VOLUMES = (('log', 16), ('data', 16))  # label, MiB
DUMP = ('dump', 20)  # RapiLog's own
LOG, DATA = 0, 1
MAGIC = 0x6c6c6f7551776152
MOST_WRITERS = 8
MOST_SECTORS = 256
LOG_BLOCK = 8
MASK = (1 << 64) - 1
HEAD = struct.Struct('<QQIIIIIIII8I')
CHECKSUM_AT = 16


def mix(value):
    value = ((value ^ value >> 30) * 0xbf58476d1ce4e5b9) & MASK
    value = ((value ^ value >> 27) * 0x94d049bb133111eb) & MASK
    return value ^ value >> 31


class Layout:
    """Where each write of each writer goes; the same as in guest/raw.c."""

    def __init__(self, seed, writers):
        self.seed, self.writers = seed, writers
        self.region = [(mib << 20) // SECTOR // writers & ~(LOG_BLOCK - 1) for _, mib in VOLUMES]

    def place(self, volume, writer, number):
        first, count = self.log_place(number) if volume == LOG else self.data_place(writer, number)
        return first + writer * self.region[volume], count

    def log_place(self, number):
        blocks = self.region[LOG] // LOG_BLOCK
        return number // LOG_BLOCK % blocks * LOG_BLOCK, number % LOG_BLOCK + 1

    def data_place(self, writer, number):
        chance = mix((self.seed + writer * 0x9e3779b97f4a7c15 + number * 0xd1b54a32d192ed03) & MASK)
        count = MOST_SECTORS // 2 if chance % 16 == 0 else (chance >> 8) % 8 + 1
        room = 64 + count if (chance >> 16) % 2 else self.region[DATA]
        return (chance >> 32) % (room - count + 1), count


class Found:
    """What is on the disk: per volume, sector to number; and which writes must be older than something there."""

    def __init__(self, layout):
        self.layout = layout
        self.number = ({}, {})
        self.required = [0] * layout.writers  # writes
        self.newest = [0] * layout.writers
        self.damaged = 0

    def read(self, image, starts):
        with open(image, 'rb') as disk:
            for volume, (_, mib) in enumerate(VOLUMES):
                disk.seek(starts[volume] * SECTOR)
                data = disk.read(mib << 20)
                self.read_volume(volume, memoryview(data))

    def read_volume(self, volume, data):
        nothing = bytes(SECTOR)
        for at in range(len(data) // SECTOR):
            sector = data[at * SECTOR:(at + 1) * SECTOR]
            if sector != nothing:
                self.read_sector(volume, at, sector)

    def read_sector(self, volume, at, sector):
        magic, seed, checksum, writer, which, number, _, _, place, _, *acknowledged = HEAD.unpack_from(sector)
        computed = zlib.crc32(sector[CHECKSUM_AT + 4:], zlib.crc32(bytes(4), zlib.crc32(sector[:CHECKSUM_AT])))
        good = magic == MAGIC and seed == self.layout.seed and checksum == computed and which == volume and place == at
        if not good:
            self.damaged += 1
            return
        self.number[volume][at] = number
        write = 2 * number - (volume == LOG)
        self.newest[writer] = max(self.newest[writer], write)
        for other in range(self.layout.writers):
            self.required[other] = max(self.required[other], acknowledged[other])
        self.required[writer] = max(self.required[writer], write - 1)


def count_absent(layout, found, writer, last_write):
    """How many of a writer's writes up to `last_write` are not there: a sector of them holds something older."""
    absent = set()
    for write in range(1, last_write + 1):
        volume, number = (LOG, DATA)[write % 2 == 0], (write + 1) // 2
        first, count = layout.place(volume, writer, number)
        numbers = found.number[volume]
        if any(numbers.get(at, 0) < number for at in range(first, first + count)):
            absent.add(number)
    return absent


class Raw:
    """One round of it on one disk."""

    volumes = ('log', 'data')
    memory, machine_memory = '192 MiB', '512 MiB'
    command_line = 'console=hvc0 quiet panic=1'
    haste = 1
    judged_in_guest = False
    has_file_system = False
    survives_errors = True
    operations = (20, 400)  # of a round

    def __init__(self, random):
        self.writers = random.choice((1, 2, 4))
        self.method = random.choice(('direct', 'cached'))
        self.layout = Layout(random.getrandbits(48), self.writers)
        self.starts = []

    @staticmethod
    def programs():
        return {'raw': ('raw.c', ())}

    def kernel(self):
        return guest.KERNEL

    def initrd(self, mends):
        return guest.initrd('small', mends)

    def filtered(self, mode):
        return () if mode == 'plain' else self.volumes

    def make_disk(self, image):
        with open(image, 'wb') as disk:
            disk.truncate((sum(mib for _, mib in (*VOLUMES, DUMP)) + 4) << 20)
        start, command = ALIGNMENT, ['sgdisk', '--clear']
        for number, (label, mib) in enumerate((*VOLUMES, DUMP), 1):
            sectors = (mib << 20) // SECTOR
            self.starts.append(start)
            command += [f'--new={number}:{start}:{start + sectors - 1}', f'--change-name={number}:{label}']
            start += sectors
        host.run('partitioning the disk', command + [image])

    def made_ready(self, machine):
        """Nothing more to start."""

    def begin(self, machine):
        machine.tell(f'raw {self.layout.seed} {self.writers} {self.method}')

    def is_loaded(self, seen):
        return len(seen) == self.writers

    def wait_killed(self, machine):
        """Returns what the writers had said before: each whose disk had refused something has."""
        return machine.wait_for(['ok', 'kill'])

    def last(self, seen):
        return [seen.get(writer, (0, 0))[1] for writer in range(self.writers)]

    def judge_guest(self, machine, seen):
        """The guest reads its own disks, through whatever buffers them: nothing acknowledged may be missing there."""
        last = ' '.join(str(number) for number in self.last(seen))
        stale = int(machine.ask(f'raw-check {self.layout.seed} {last}')[1])
        return Verdict(lost=stale, why=f'the guest reads {stale} sectors that are older than acknowledged' if stale else '')

    def judge_image(self, image, seen):
        found = Found(self.layout)
        found.read(image, self.starts)
        verdict = Verdict()
        for writer, last in enumerate(self.last(seen)):
            lost = count_absent(self.layout, found, writer, 2 * last)
            disorder = count_absent(self.layout, found, writer, found.required[writer])
            verdict.add(Verdict(last, len(lost), len(disorder)))
            if lost or disorder:
                verdict.tell(f'writer {writer}: acknowledged up to {last}, lost {sorted(lost)[:5]}, on the disk up to write '
                             f'{found.newest[writer]}, out of order {sorted(disorder)[:5]}')
        if found.damaged:
            verdict.add(Verdict(out_of_order=found.damaged, why=f'{found.damaged} sectors are damaged or misplaced'))
        return verdict
