"""pgbench in the demo's Debian guest, if `./quoll demo` has built it: Quoll over the bare machine for a fixed number of
transactions, in instructions and in wall time. Both have the same plain disk; the bare machine's is QEMU's virtio-blk, Quoll's goes
through VMM, volume service and NVMe driver. The disk works in real time, so what is counted varies a little."""

import os
import re
import subprocess
import sys

import linux
import machine
import micro

DEMO = os.path.join(machine.BUILD, 'demo')
KERNEL, DISK, BASE = (os.path.join(DEMO, name) for name in ('vmlinuz', 'guest.raw', 'initrd.base'))
INITRD = os.path.join(machine.RESULTS, 'pgbench.initrd')
COPY = os.path.join(machine.RESULTS, 'pgbench.raw')
COMMAND_LINE = 'root=/dev/vda rw init=/run/demo/pgbench quiet loglevel=0 panic=1 nokaslr kpti=off randomize_kstack_offset=off norandmaps'
FIRST, LAST = '32', '33'
SECONDS = 280


def available():
    return all(os.path.exists(path) for path in (KERNEL, DISK, BASE))


def volumes():
    """[(first byte, bytes)] of the disk's partitions."""
    said = machine.run(['sgdisk', '-p', DISK], 10, "the demo's disk")
    found = re.findall(r'^\s*\d+\s+(\d+)\s+(\d+)\s', said, re.M)
    return [(int(first) * 512, (int(last) - int(first) + 1) * 512) for first, last in found]


def prepare():
    sys.path.insert(0, os.path.join(machine.ROOT, 'demo'))
    import initramfs  # pylint: disable=import-outside-toplevel
    guest = os.path.join(machine.ROOT, 'demo', 'guest')
    initramfs.complete(BASE, os.path.join(guest, 'initramfs-init'),
                       [os.path.join(guest, 'mount-ext4'), os.path.join(linux.SOURCE, 'pgbench'),
                        os.path.join(linux.PLACE, 'workload')], INITRD)


def fresh_disk():
    subprocess.run(['cp', '--sparse=always', DISK, COPY], check=True)


def on_bare(marks):
    fresh_disk()
    command = ['qemu-system-aarch64', '-nodefaults', '-no-user-config', '-display', 'none', '-cpu', machine.CPU, '-seed', '1',
               '-machine', 'virt,gic-version=3', '-smp', '1', '-m', '1024', '-global', 'virtio-mmio.force-legacy=false',
               '-device', 'virtio-serial-device,max_ports=1,bus=virtio-mmio-bus.0', '-chardev', 'stdio,id=c,signal=off',
               '-device', 'virtconsole,chardev=c', '-object', 'rng-builtin,id=r', '-device', 'virtio-rng-device,rng=r,bus=virtio-mmio-bus.1',
               '-kernel', KERNEL, '-initrd', INITRD, '-append', f'console=hvc0 {COMMAND_LINE}']
    for number, (offset, size) in enumerate(volumes()):
        command += ['-blockdev', f'driver=raw,node-name=volume{number},offset={offset},size={size},file.driver=file,file.locking=off,'
                    f'file.filename={COPY}', '-device', f'virtio-blk-device,drive=volume{number},bus=virtio-mmio-bus.{2 + number}']
    if marks:
        command += ['-icount', 'shift=0', '-plugin', f'{machine.plugin("count")},out={marks}']
    return machine.run(command, SECONDS, 'pgbench on the bare machine')


def on_quoll(marks):
    fresh_disk()
    text = f'''machine: {{cores: 2, cpu: {machine.CPU}}}
disks:
  disk0: {{file: {COPY}}}
vms:
  debian:
    memory: 1 GiB
    vcpus: [1]
    kernel: {KERNEL}
    initrd: {INITRD}
    command_line: console=hvc0 {COMMAND_LINE}
    seed: bench
    disks:
      - {{disk: disk0, label: root}}
      - {{disk: disk0, label: wal}}
'''
    words = ['--icount', 'shift=0', '--qemu-arg', '-plugin', '--qemu-arg', f'{machine.plugin("count")},out={marks}'] if marks else []
    return machine.quoll(text, False, *words, seconds=SECONDS)['debian']


def executed(marks):
    found = {name: count for name, count, _ in micro.read_marks(marks)}
    return found[LAST] - found[FIRST]


def run(details):
    """{"pgbench": ratio of instructions, "pgbench_wall": ratio of time}"""
    prepare()
    marks = os.path.join(machine.RESULTS, 'marks.txt')
    found = {}
    for name, action in (('bare', on_bare), ('quoll', on_quoll)):
        action(marks)
        instructions = executed(marks)
        wall = re.search(r'time pgbench (\d+)', said := action(None))
        if wall is None:
            raise machine.Failure(f'pgbench did not run; the guest said:\n{said[-2000:]}')
        found[name] = instructions, int(wall.group(1))
    os.unlink(COPY)
    for number, (name, unit) in enumerate((('pgbench', 'instructions'), ('pgbench_wall', 'ns'))):
        details[name] = {'bare': found['bare'][number], 'quoll': found['quoll'][number], 'unit': unit}
    return {name: details[name]['quoll'] / details[name]['bare'] for name in ('pgbench', 'pgbench_wall')}
