#!/usr/bin/env python3
"""A disk that fails writes: an I/O error for what is not acknowledged; what is, RapiLog keeps, tells, and writes when it can."""
import os
import re
import subprocess

import rig

SYSTEM = '''
power_fail: powerkey
disks: {disk0: {file: none}}
vms:
  linux:
    vcpus: 2
    rapilog: {hold_up: 900 ms, memory: 16 MiB}
    disks:
      - {disk: disk0, label: data}
      - {disk: disk0, label: wal, filter: rapilog}
''' + rig.LINUX

# Each "store N" writes block N of the log volume and says whether that was acknowledged.
FUNCTIONS = r'''
plain() { dd if=/bin/busybox of=/dev/vda bs=4k count=1 conv=fsync 2>&1 | grep -q error && echo "plain <failed>" || echo "plain <stored>"; }
store() { printf '%0511d\n' $1 | dd of=/dev/vdb bs=512 seek=$1 conv=fsync 2>/dev/null && echo "log <$1>" || echo "log <failed $1>"; }
'''


def nbdkit():
    return subprocess.Popen(
        ['nbdkit', '-f', '-U', rig.path('disk.socket'), '--filter=error', 'file', rig.path('disk.img'),
         'error-pwrite=EIO', 'error-pwrite-rate=100%', 'error-pwrite-file=' + rig.path('broken')],
        stderr=subprocess.DEVNULL)


def fail_writes(broken):
    if broken:
        with open(rig.path('broken'), 'w', encoding='utf-8'):
            pass
    else:
        os.unlink(rig.path('broken'))


def talk(machine, wal):
    machine.type(FUNCTIONS + 'plain\nstore 1\n')
    machine.read_until('plain <stored>')
    machine.read_until('log <1>')
    fail_writes(True)
    machine.type('plain\nstore 2\n')
    machine.read_until('plain <failed>')
    machine.read_until('log <2>|log <failed 2>')  # depends on whether RapiLog knows yet
    machine.type('sleep 1; store 3\n')
    machine.read_until('log <failed 3>')
    fail_writes(False)
    machine.type('plain\nsleep 2; store 4; poweroff -f\n')
    machine.read_until('plain <stored>')
    machine.read_until('log <4>')
    result = machine.finish().expect_status(0).expect_log(
        'the disk refuses to write', 'of acknowledged data kept', 'the disk takes writes again; all that was kept is on it')
    acknowledged = [int(number) for number in re.findall(r'log <(\d+)>', result.out)]
    print('acknowledged:', acknowledged)
    for number in acknowledged:
        rig.check(rig.read_sectors('disk.img', wal + number, 1) == b'%0511d\n' % number, f'block {number} is lost')


def test():
    _, wal = rig.make_disk('disk.img', ('data', 16), ('wal', 16))
    server = nbdkit()
    try:
        while not os.path.exists(rig.path('disk.socket')):
            rig.check(server.poll() is None, 'nbdkit did not start')
        machine = rig.Machine(SYSTEM, '--disk', 'disk0=nbd+unix:///?socket=' + rig.path('disk.socket'))
        talk(machine, wal)
    finally:
        server.terminate()
        server.wait()


rig.main(test)
