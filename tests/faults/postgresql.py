"""The PostgreSQL workload: the demo's guest, its log on RapiLog; in an ordered domain, everything."""

import os

import guest
import guest_disk
import host
import machine as machines
from verdict import Verdict

CLIENTS = 2
MIB = 1 << 20
DUMP_MIB = 20


class PostgreSql:
    """One round of it on one disk."""

    volumes = ('root', 'wal')
    memory, machine_memory = '1 GiB', '2 GiB'
    command_line = 'console=hvc0 ' + machines.COMMAND_LINE
    haste = 4  # its start writes much
    judged_in_guest = True
    has_file_system = True
    survives_errors = False
    operations = (10, 60)

    def __init__(self, random):
        """Nothing in it is random."""

    @staticmethod
    def programs():
        return {}

    def kernel(self):
        return guest_disk.KERNEL

    def initrd(self, mends):
        return guest.initrd('postgresql', mends)

    def filtered(self, mode):
        return {'plain': (), 'through': ('wal',), 'held': ('wal',), 'held ordered': self.volumes}[mode]

    def make_disk(self, image):
        host.run('copying the guest disk', ['cp', '--sparse=always', '--reflink=auto', guest_disk.PRISTINE, image])
        os.truncate(image, os.path.getsize(image) + (DUMP_MIB + 1) * MIB)
        host.run('adding a dump area', ['sgdisk', '--move-second-header', f'--new=3:0:+{DUMP_MIB}M',
                                        '--change-name=3:dump', image])

    def made_ready(self, machine):
        machine.ask('start', patience=200)

    def begin(self, machine):
        for client in range(1, CLIENTS + 1):
            machine.witness.expect(client, 1)
            machine.tell(f'witness {client} 1 on')

    def is_loaded(self, seen):
        return len(seen) == CLIENTS

    def wait_killed(self, machine):
        said = machine.wait_for(['ok', 'kill'])
        machine.wait_ended(CLIENTS)
        machine.ask('start', patience=200)
        return said

    def judge_guest(self, machine, seen):
        verdict = Verdict()
        for client, (first, last) in sorted(seen.items()):
            newest = int(machine.ask(f'last {client}')[2])
            lost = int(machine.ask(f'missing {client} {first} {last}')[2])
            disorder = int(machine.ask(f'missing {client} {first} {newest}')[2]) if newest >= first else 0
            verdict.add(Verdict(0, lost, disorder))
            if lost or disorder:
                verdict.tell(f'PostgreSQL: client {client}: acknowledged {first} to {last}, there up to {newest}, {lost} '
                             f'missing, {disorder} of them older than some that are there')
        machine.tell('check')
        words = machine.answer(200)
        if words != ['ok', 'check', '0']:
            verdict.add(Verdict(out_of_order=1, why='PostgreSQL: the database is not whole: ' + ' '.join(words)))
        return verdict

    def judge_image(self, image, seen):
        return Verdict(sum(last - first + 1 for first, last in seen.values()))
