"""What single operations cost: the benchmark guest in small systems, each of which fits what is measured."""

import os
import subprocess

import machine

ONE_CORE_DEVICES = '    devices: {core: 1, priority: 50}\n'
SIGNALS = '''components:
  bench-signal:
    priority: 150
    threads: [{core: 1}, {core: 1}, {core: 2}]
    channels:
      to0: {to: bench-signal, thread: 0, as: answer}
      to1: {to: bench-signal, thread: 1, as: ping1}
      to2: {to: bench-signal, thread: 2, as: ping2}
    machine: true
'''
DISKS = '''    rapilog: {hold_up: 1 s}
    disks:
      - {disk: disk0, label: plain}
      - {disk: disk0, label: log, filter: rapilog}
'''
PAGER = os.path.join(machine.TARGET, 'tests', 'components', 'bench-vmm.elf')
MARK_FIRST, MARK_LAST = '1', '2'
DISK_ROUNDS = 300  # in guests/bench/virtio.c

# name: what it is, in the order of the table
NAMES = {
    'null_hypercall': 'null hypercall (PSCI_VERSION by HVC)',
    'hypercall_vmm': 'hypercall answered by the VMM',
    'sysreg_trap': 'trapped system register, answered in the kernel',
    'mmio_kernel': 'MMIO write answered in the kernel (a doorbell)',
    'mmio_vmm': 'MMIO read answered by the user-level VMM',
    'mmio_service': 'MMIO read answered by a service behind the VMM',
    'mmio_service_pending': 'the same while the guest masks an interrupt',
    'mmio_service_one_core': 'MMIO read by a service on the same core',
    'gicd_read': 'GIC distributor read',
    'eoi': 'end of interrupt',
    'ipi': 'IPI between vCPUs on two cores, target running',
    'ipi_sleeping': 'the same, target sleeping',
    'ipi_both_asleep': 'the same, both sleep in turn',
    'ipi_one_core': 'IPI between vCPUs on one core',
    'timer': 'timer interrupt: from due to acknowledged',
    'wfi_wake': 'WFI: from timer due to acknowledged',
    'interrupt_turn': 'timer set, taken and ended (the guest handler included)',
    'device_irq_running': 'device request and its interrupt, guest running',
    'device_irq_sleeping': 'the same, guest sleeping',
    'device_irq_one_core': 'the same, device thread on the same core',
    'pager_map': 'stage-2 fault served by a pager: map',
    'pager_unmap': 'unmap of a page by a pager',
    'pager_protect': 'protect of a page by a pager',
    'inject_running': 'interrupt from another core, guest running',
    'inject_sleeping': 'the same, guest sleeping',
    'world_switch': 'world switch between two VMs',
    'world_switch_fp': 'the same, both use floating point',
    'signal_one_core': 'signal between components on one core',
    'signal_two_cores': 'signal between components on two cores',
    'block_write': 'write of 4 KiB: virtio-blk to NVMe',
    'block_read': 'read of 4 KiB: virtio-blk to NVMe',
    'rapilog_write': 'write of 4 KiB: virtio-blk to RapiLog',
    'rapilog_read': 'read of 4 KiB through RapiLog',
}
# The disk works in real time beside the instructions, so these vary from run to run.
VARYING = ('block_write', 'block_read', 'rapilog_write', 'rapilog_read')


def make_disk(place):
    with open(place, 'wb') as disk:
        disk.truncate(64 << 20)
    subprocess.run(['sgdisk', '-n', '1:2048:34815', '-c', '1:plain', '-n', '2:34816:67583', '-c', '2:log', place],
                   check=True, stdout=subprocess.DEVNULL)


def read_marks(place):
    """[(mark, instructions until then, those outside of the guest)]"""
    with open(place, encoding='utf-8') as lines:
        return [(name, int(count), int(outside)) for name, count, outside in (line.split() for line in lines)]


def counted(marks, names):
    """Instructions of one round between the marks, for each benchmark in turn."""
    first = [count for mark, count, _ in marks if mark == MARK_FIRST]
    last = [count for mark, count, _ in marks if mark == MARK_LAST]
    return {name: (b - a) / DISK_ROUNDS for name, a, b in zip(names, first, last)}


def disks(icount):
    """Both runs with a disk. Waiting for it takes real time, so under icount a plugin counts, not the clock."""
    image = os.path.join(machine.RESULTS, 'disk.img')
    marks = os.path.join(machine.RESULTS, 'marks.txt')
    bare_count, quoll_count = [], []
    if icount:
        count = ['-plugin', f'{machine.plugin("count")},out={marks}']
        bare_count = ['-icount', 'shift=0', *count]
        quoll_count = ['--icount', 'shift=0'] + [word for each in count for word in ('--qemu-arg', each)]
    make_disk(image)
    drive = ['-drive', f'if=none,id=disk0,format=raw,file={image}', '-device', 'virtio-blk-device,drive=disk0']
    bare = machine.results(machine.bare('disk', 1, False, *drive, *bare_count), 'the disk of the bare machine')
    if icount:
        bare = counted(read_marks(marks), list(bare))
    make_disk(image)
    text = machine.system(2, machine.vm('guest', 'disk', 1, DISKS),
                          more=f'power_fail: powerkey\ndisks:\n  disk0: {{file: {image}}}\n')
    quoll = machine.results(machine.quoll(text, False, *quoll_count)['guest'], 'the disk on Quoll')
    if icount:
        quoll = counted(read_marks(marks), list(quoll))
    for name in ('disk_errors',):
        if name in bare or name in quoll:
            raise machine.Failure('the disk of the benchmark answers with errors')
    os.unlink(image)
    return bare, quoll


def switch_system(icount, kind):
    start, length = (100, 40) if icount else (3000, 400)
    return machine.system(2, machine.vm('watcher', f'watch{kind}:{start}:{length}', '[1]'),
                          machine.vm('sleeper', f'neighbour{kind}:{start}:{length}', '[1]', '    priority: 110\n'))


def bare(icount):
    """{name: instructions, or ns of wall time} on the bare machine. Loops contain 10 instructions of their own."""
    found = machine.results(machine.bare('micro', 2, icount), 'the bare machine')
    found |= machine.results(machine.bare('onecore', 1, icount), 'the bare machine')
    found['mmio_service'] = found['mmio_service_pending'] = found['mmio_service_one_core']
    return found


def quoll(icount):
    """The same on Quoll."""
    def of(text, vm='guest', **more):
        return machine.results(machine.quoll(text, icount, **more)[vm], f'{vm} on Quoll')
    found = of(machine.system(3, machine.vm('guest', 'micro', '[1, 2, 1]')))
    found |= of(machine.system(2, machine.vm('guest', 'devices', '[1]')))
    found |= of(machine.system(2, machine.vm('guest', 'onecore', '[1]', ONE_CORE_DEVICES)))
    found |= of(f'machine: {{cores: 3, cpu: {machine.CPU}}}\n{SIGNALS}', 'log')
    found |= of(machine.system(2, machine.vm('guest', 'pager', '[1]', '    paged: 2 MiB\n')), 'log', vmm=PAGER)
    found |= of(switch_system(icount, ''), 'watcher')
    found |= of(switch_system(icount, 'fp'), 'watcher')
    return found
