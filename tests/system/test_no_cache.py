#!/usr/bin/env python3
"""A disk without a volatile cache is recognized, NVMe and virtio: no FLUSH is sent to it, by a guest or by RapiLog; one with a cache gets them."""
import os
import re
import subprocess

import rig

SYSTEM = '''
power_fail: powerkey
disks: {disk0: {DRIVER: 0, file: none, cache: CACHE}}
vms:
  linux:
    rapilog: {hold_up: 900 ms, memory: 16 MiB}
    disks:
      - {disk: disk0, label: data}
      - {disk: disk0, label: wal, filter: rapilog}
''' + rig.LINUX

TYPED = r'''
for i in 1 2 3 4 5; do for disk in vda vdb; do dd if=/bin/busybox of=/dev/$disk bs=4k count=1 seek=$i conv=fsync 2>/dev/null; done; done
poweroff -f
'''


def serve():
    """The disk over NBD, by a server that notes every request."""
    for name in ('disk.socket', 'requests'):
        if os.path.exists(rig.path(name)):
            os.unlink(rig.path(name))
    return subprocess.Popen(['nbdkit', '-f', '-U', rig.path('disk.socket'), '--filter=log', 'file', rig.path('disk.img'),
                             'logfile=' + rig.path('requests')], stderr=subprocess.DEVNULL)


def boot(driver, cache):
    return rig.run(SYSTEM.replace('DRIVER', driver).replace('CACHE', cache), '--disk',
                   'disk0=nbd+unix:///?socket=' + rig.path('disk.socket'), typed=TYPED)


def flushes(driver, cache):
    starts = rig.make_disk('disk.img', ('data', 16), ('wal', 16))
    server = serve()
    try:
        while not os.path.exists(rig.path('disk.socket')):
            rig.check(server.poll() is None, 'nbdkit did not start')
        result = boot(driver, cache)
    finally:
        server.terminate()
        server.wait()
    result.expect_status(0).expect_log({'writeback': ', volatile cache', 'writethrough': ', no volatile cache'}[cache])
    for start in starts:
        rig.check(rig.read_sectors('disk.img', start + 8, 1)[:4] == b'\x7fELF', f'what was written is not there\n{result.show()}')
    with open(rig.path('requests'), encoding='utf-8') as requests:
        asked = re.findall(r' (Read|Write|Flush) id', requests.read())
    while asked and asked[-1] == 'Flush':  # QEMU's own, when it ends
        asked.pop()
    return asked.count('Flush')


def test():
    for driver in ('nvme', 'virtio'):
        with_cache, without = flushes(driver, 'writeback'), flushes(driver, 'writethrough')
        rig.check(with_cache >= 10, f'{driver}: a disk with a cache got only {with_cache} FLUSHes')
        rig.check(without == 0, f'{driver}: a disk without a cache got {without} FLUSHes')
        print(f'{driver}: {with_cache} FLUSHes to the disk with a cache, {without} to the one without')


rig.main(test)
