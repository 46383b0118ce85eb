#!/usr/bin/env python3
"""What a guest writes to its volumes, plain and through RapiLog, is on the disk after power-off, and only there."""
import rig

SYSTEM = '''
power_fail: powerkey
disks: {disk0: {file: disk.img}}
vms:
  linux:
    vcpus: 2
    rapilog: {hold_up: 200 ms, memory: 16 MiB}
    disks:
      - {disk: disk0, label: root}
      - {disk: disk0, label: wal, filter: rapilog}
''' + rig.LINUX

TYPED = '''
cat /sys/block/vda/size /sys/block/vdb/size /sys/block/vda/serial /sys/block/vdb/serial
seq 1 200000 >/tmp/a
seq 1 300000 >/tmp/b
dd if=/tmp/a of=/dev/vda bs=4k conv=fsync
dd if=/tmp/b of=/dev/vdb bs=64k
poweroff -f
'''


def numbers(count):
    return ''.join(f'{number}\n' for number in range(1, count + 1)).encode()


def check_disk(run):
    root, wal, other = rig.make_disk('disk.img', ('root', 32), ('wal', 16), ('other', 16))
    result = run()
    result.expect_status(0).expect('65536\n32768\nrootwal').expect_log('everything acknowledged is on the disk')
    for start, count, what in ((root, 200000, 'plain'), (wal, 300000, 'RapiLog')):
        expected = numbers(count)
        found = rig.read_sectors('disk.img', start, len(expected) // rig.SECTOR + 1)[:len(expected)]
        rig.check(found == expected, f'the {what} volume does not hold what was written')
    rig.check(not any(rig.read_sectors('disk.img', other, 32768)), 'a volume was written that the VM does not have')


def test():
    check_disk(lambda: rig.run(SYSTEM, typed=TYPED))


if __name__ == '__main__':
    rig.main(test)
