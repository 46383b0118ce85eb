"""What the tests of the mains share: a guest that writes numbered blocks to a volume behind RapiLog, and what must be there of them.

The witness is the guest's console: it names each block after its write was acknowledged.
"""

import re

import rig

# Goes on until something ends it. Block n of the volume holds n.
WRITER = r'''
i=0; while true; do i=$((i+1)); printf '%0511d\n' $i | dd of=/dev/vda bs=512 seek=$i conv=fsync 2>/dev/null && echo "stored <$i>"; done
'''


def system(power_fail, vm, more=''):
    """A description: the VM `vm` has the partition `wal` of disk.img behind RapiLog; vm: its name, hold-up time, other lines; `more` VMs."""
    name, hold_up, *settings = vm
    lines = ''.join(f'    {setting}\n' for setting in settings)
    return f'''
power_fail: {power_fail}
disks: {{disk0: {{file: disk.img}}}}
vms:
  {name}:
{lines}    rapilog: {{hold_up: {hold_up}, memory: 16 MiB}}
    disks: [{{disk: disk0, label: wal, filter: rapilog}}]
{rig.LINUX}
{more}'''


def make_disk():
    """Returns the first sector of the volume."""
    wal, = rig.make_disk('disk.img', ('wal', 16))
    return wal


def blocks(out):
    """The numbers of the blocks that the console names."""
    return [int(number) for number in re.findall(r'stored <(\d+)>', out)]


def read_more(machine, count):
    """Until the console has named `count` more blocks."""
    before = len(blocks(machine.out.decode(errors='replace')))
    machine.read_until(f'stored <{before + count}>')


def check(result, wal, least=1):
    """Every block that was named is on the disk. Returns how many."""
    stored = blocks(result.out)
    rig.check(len(stored) >= least, result.show())
    for number in stored:
        block = rig.read_sectors('disk.img', wal + number, 1)
        rig.check(block == b'%0511d\n' % number, f'block {number} was acknowledged and is lost\n{result.show()}')
    return len(stored)
