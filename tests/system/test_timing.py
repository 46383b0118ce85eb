#!/usr/bin/env python3
"""A disk as slow as a named one: as slow by the machine's clock, and no slower by the host's when idle time passes at once."""
import time

import rig

ROUNDS, FLUSH_S, DILATION = 10, 0.0015, 2000  # the SSD's FLUSH; all rounds together take 30 s of the machine's time
SYSTEM = f'''
system: slow-disk
machine: {{cores: 2, memory: 768 MiB}}
disks:
  disk0: {{file: {rig.path('slow.img')}, timing: {{like: consumer-ssd, dilation: {DILATION}}}}}
vms:
  linux:
    memory: 256 MiB{rig.LINUX}
    disks: [{{disk: disk0}}]
'''
TYPED = f'''
cut -d ' ' -f 1 /proc/uptime | sed 's/^/begin=/'
for i in $(seq {ROUNDS}); do dd if=/dev/zero of=/dev/vda bs=512 count=1 seek=$i conv=fsync 2>/dev/null; done
cut -d ' ' -f 1 /proc/uptime | sed 's/^/end=/'
poweroff -f
'''


def test():
    rig.make_disk('slow.img', size=16)
    machine = rig.Machine(SYSTEM, '--icount', 'shift=2,sleep=off')
    machine.type(TYPED)
    begin = float(machine.read_until(r'\nbegin=([0-9.]+)').group(1))
    real = time.monotonic()
    end = float(machine.read_until(r'\nend=([0-9.]+)').group(1))
    real = time.monotonic() - real
    machine.finish().expect_status(0).expect_log('is as slow as: consumer SSD')
    least = ROUNDS * FLUSH_S * DILATION
    rig.check(least <= end - begin <= 1.3 * least,
              f'{ROUNDS} flushed writes took {end - begin:.1f} s of the machine\'s time, they should take {least:.1f} s or a little more')
    rig.check(real < least / 2, f'waiting {least:.1f} s of the machine\'s time took {real:.1f} s')


if __name__ == '__main__':
    rig.main(test)
