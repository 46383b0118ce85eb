#!/usr/bin/env python3
"""Driver, volume service, VMM and RapiLog are killed under a guest that writes: it only waits, and its data is there."""
import re

import rig

PIECE = 65536
NUMBERS = ''.join(f'{number}\n' for number in range(1, 300001)).encode()
PIECES = 30

SYSTEM = '''
power_fail: powerkey
disks: {disk0: {%s, file: disk.img}}
vms:
  linux:
    vcpus: 2
    rapilog: {%s}
    disks:
      - {disk: disk0, label: root}
      - {disk: disk0, label: wal, filter: rapilog}
''' + rig.LINUX + '''
test: {kill: {%s}}
'''

# Both disks get the same numbers, piece by piece, each of them on the disk before the next.
TYPED = '''
seq 1 300000 >/tmp/a
writer() {
    n=0
    while [ $n -lt %d ]; do
        dd if=/tmp/a of=$1 bs=64k count=1 skip=$n seek=$n conv=notrunc,fsync 2>/dev/null || echo FAI''LED
        n=$((n + 1))
    done
    echo $1 is written
}
writer /dev/vda & writer /dev/vdb & wait
for device in vda vdb; do
    dd if=/dev/$device of=/dev/null bs=4k count=1000 iflag=direct 2>/dev/null && echo $device is read
done
dmesg | grep -i 'error' && echo ERR''ORS
poweroff -f
''' % PIECES


def check_volume(result, device, start):
    size = PIECES * PIECE
    result.expect(f'{device} is written')
    data = rig.read_sectors('disk.img', start, size // rig.SECTOR)
    rig.check(data == NUMBERS[:size], f'{device} does not hold what was written\n{result.show()}')


def check_kills(device, rapilog, kills):
    root, wal = rig.make_disk('disk.img', ('root', 64), ('wal', 48))[:2]
    text = ', '.join(f'{name}: {{after: {after}, every: 1 s, times: 100000}}' for name, after in kills)
    result = rig.run(SYSTEM % (device, rapilog, text), typed=TYPED, timeout=200)
    result.expect_status(0)
    rig.check('FAILED' not in result.out and 'ERRORS' not in result.out, f'the guest has seen errors\n{result.show()}')
    result.expect('vda is read', 'vdb is read')  # each piece waits for its own interrupt
    check_volume(result, '/dev/vda', root)
    check_volume(result, '/dev/vdb', wal)
    for name, _ in kills:
        count = len(re.findall(rf'{name} is killed and restarted', result.log))
        rig.check(count >= 3, f'{name} was killed only {count} times\n{result.show()}')
        print(f'{name}: {count} kills')


READER = '''
end=$(($(date +%s) + 8))
while [ $(date +%s) -lt $end ]; do dd if=/dev/vdb of=/dev/null bs=4M count=4 iflag=direct 2>/dev/null; done
dd if=/dev/vdb of=/dev/null bs=4k count=500 iflag=direct 2>/dev/null && echo all is read
poweroff -f
'''


def check_reads():
    """A driver that is killed between an interrupt and its acknowledgement hears of the next ones all the same."""
    rig.make_disk('disk.img', ('root', 64), ('wal', 48))
    system = SYSTEM % ('virtio: 0', 'hold_up: 200 ms', 'virtio.disk0: {after: 2 s, every: 40 ms, times: 200}')
    result = rig.run(system, typed=READER, timeout=60)
    result.expect_status(0).expect('all is read')


def test():
    held = 'hold_up: 200 ms, memory: 16 MiB'
    check_kills('nvme: 0', held, [('nvme.disk0', '2 s'), ('volume.disk0', '2500 ms')])
    check_kills('virtio: 0', held, [('virtio.disk0', '2 s'), ('vmm.linux', '2500 ms')])
    check_kills('nvme: 0', 'mode: through, restart: true', [('rapilog.linux', '2 s')])


if __name__ == '__main__':
    rig.main(test)
