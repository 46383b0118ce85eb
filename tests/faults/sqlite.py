"""The SQLite workload's other half; guest/sqlite.c tells what the guest does. The whole database is on one volume."""

import os

import guest
import host
from verdict import Verdict

MIB = 1 << 20
SECTOR = 512
START, SIZE = 1 * MIB, 48 * MIB
DUMP = 20 * MIB


def library():
    """Debian's libsqlite3.a for the guest, and its headers."""
    folder = guest.package('libsqlite3-dev')
    return os.path.join(folder, 'usr/lib/aarch64-linux-gnu/libsqlite3.a'), os.path.join(folder, 'usr/include')


class Sqlite:
    """One round of it on one disk."""

    volumes = ('base',)
    memory, machine_memory = '192 MiB', '512 MiB'
    command_line = 'console=hvc0 quiet panic=1'
    haste = 1
    judged_in_guest = True
    has_file_system = True
    survives_errors = False  # after an error the file system is read-only until the next boot
    operations = (10, 150)

    def __init__(self, random):
        self.writers = random.choice((1, 2))

    @staticmethod
    def programs():
        archive, headers = library()
        return {'sqlite': ('sqlite.c', ('-I' + headers, archive, '-lm', '-lpthread', '-ldl'))}

    def kernel(self):
        return guest.KERNEL

    def initrd(self, mends):
        return guest.initrd('small', mends)

    def filtered(self, mode):
        return () if mode == 'plain' else self.volumes

    def make_disk(self, image):
        with open(image, 'wb') as disk:
            disk.truncate(START + SIZE + DUMP + 1 * MIB)
        end = START + SIZE
        host.run('partitioning the disk', ['sgdisk', '--clear', f'--new=1:{START // SECTOR}:{end // SECTOR - 1}',
                                           f'--new=2:{end // SECTOR}:{(end + DUMP) // SECTOR - 1}',
                                           '--change-name=1:base', '--change-name=2:dump', image])
        host.run('making the file system', ['mke2fs', '-q', '-F', '-t', 'ext4', '-m', '0', '-E',
                                            f'offset={START},lazy_itable_init=0,lazy_journal_init=0', image,
                                            f'{SIZE // 1024}k'])

    def made_ready(self, machine):
        """Nothing more to start."""

    def begin(self, machine):
        machine.tell(f'sqlite {self.writers}')

    def is_loaded(self, seen):
        return len(seen) == self.writers

    def wait_killed(self, machine):
        return machine.wait_for(['ok', 'kill'])

    def last(self, seen):
        return [seen.get(writer, (0, 0))[1] for writer in range(self.writers)]

    def judge_guest(self, machine, seen):
        words = machine.ask('sqlite-check ' + ' '.join(str(number) for number in self.last(seen)))
        lost, disorder, whole = int(words[1]), int(words[2]), words[3] == 'whole'
        verdict = Verdict(0, lost, disorder)
        if lost or disorder:
            verdict.tell(f'SQLite: {lost} acknowledged rows are missing, {disorder} are older than some that are there')
        if not whole:
            verdict.add(Verdict(out_of_order=1, why='SQLite: the integrity check fails'))
        return verdict

    def judge_image(self, image, seen):
        return Verdict(sum(self.last(seen)))
