"""Whole workloads in Linux, as ratios of Quoll over the bare machine: instructions that anybody executes (counted by a
plugin, so that waiting counts nothing), and wall time.

The guest has one CPU, the same kernel, initrd and devices on both (console, entropy), and no randomness that would
change what it executes: nokaslr, kpti=off, randomize_kstack_offset=off, norandmaps, fixed seeds. For "linux" the bare
machine gets Quoll's device tree, so that its kernel probes no more devices; "linux_own_tree" compares the machines as they are. What
devices of the same kind offer still differs a little, so beside the ratio stands how many instructions were Quoll's own.
"""

import base64
import os
import re
import subprocess
import tempfile
import time

import linux
import machine
import micro
import pgbench

COMMAND_LINE = 'console=hvc0 quiet loglevel=0 nokaslr kpti=off randomize_kstack_offset=off norandmaps panic=1'
NAMES = {
    'linux': 'Linux: start, shell loop, 300 fork+exec',
    'linux_own_tree': 'the same, bare machine with all its devices',
    'shell_loop': 'shell loop',
    'fork_exec': 'fork, exec and wait',
    'context_switch': 'context switches through pipes',
    'pipe': 'pipe bandwidth',
    'system_call': 'system calls',
    'compile': 'compile (tcc, 10 files)',
    'boot_wall': 'power-on to userland',
    'pgbench': 'pgbench -N, 1 client, plain disk',
}
WORK = {'shell_loop': 10, 'fork_exec': 11, 'context_switch': 12, 'pipe': 13, 'system_call': 14, 'compile': 15}
TREE = os.path.join(machine.RESULTS, 'guest.dtb')
BOOT_ROUNDS = 3


def bare_command(mode, tree=False):
    command = ['qemu-system-aarch64', '-nodefaults', '-no-user-config', '-display', 'none', '-cpu', machine.CPU, '-seed', '1',
               '-machine', 'virt,gic-version=3', '-smp', '1', '-m', '512', '-global', 'virtio-mmio.force-legacy=false',
               '-device', 'virtio-serial-device,max_ports=1,bus=virtio-mmio-bus.0', '-chardev', 'stdio,id=c,signal=off', '-device', 'virtconsole,chardev=c',
               '-object', 'rng-builtin,id=r', '-device', 'virtio-rng-device,rng=r,bus=virtio-mmio-bus.1',
               '-kernel', linux.KERNEL, '-initrd', linux.INITRD, '-append', f'{COMMAND_LINE} bench:{mode}']
    return command + (['-dtb', TREE] if tree else [])


def system(mode):
    return f'''machine: {{cores: 2, cpu: {machine.CPU}}}
vms:
  linux:
    memory: 512 MiB
    vcpus: [1]
    kernel: {linux.KERNEL}
    initrd: {linux.INITRD}
    command_line: {COMMAND_LINE} bench:{mode}
    seed: bench
'''


def counting(marks):
    return ['-icount', 'shift=0,sleep=off', '-plugin', f'{machine.plugin("count")},out={marks}']


def on_bare(mode, marks=None, tree=False):
    """The guest's output; with `marks`, instructions are counted into that file."""
    return machine.run(bare_command(mode, tree) + (counting(marks) if marks else []), 240, f'{mode} on the bare machine')


def on_quoll(mode, marks=None):
    words = ['--icount', 'shift=0,sleep=off'] + [part for word in counting(marks)[2:] for part in ('--qemu-arg', word)] if marks else []
    return machine.quoll(system(mode), False, *words, seconds=240)['linux']


def check(said, what):
    if 'bench: done' not in said:
        raise machine.Failure(f'{what}: Linux did not finish; it said:\n{said[-2000:]}')
    return said


def read_tree():
    """Has the guest on Quoll show its device tree. The kernel has wiped the seed of its random numbers out of it; without
    any it would be slow."""
    found = re.search(r'tree (\S+)', check(on_quoll('tree'), 'the device tree'))
    with open(TREE, 'wb') as out:
        out.write(base64.b64decode(found.group(1)))
    machine.run(['fdtput', '-t', 'bx', TREE, '/chosen', 'rng-seed', *(f'{7 * i % 256:x}' for i in range(64))], 10, 'the device tree')


def between(marks, first, last):
    """(instructions, those of them that were Quoll's own)"""
    found = {name: (count, outside) for name, count, outside in micro.read_marks(marks)}
    return tuple(after - before for before, after in zip(found[first], found[last]))


def compare(details, name, bare, quoll):
    """Keeps what a ratio is made of; returns it."""
    details[name] = {'bare': bare[0], 'quoll': quoll[0], 'quoll_own': quoll[1], 'unit': 'instructions'}
    return quoll[0] / bare[0]


def count_linux(details):
    marks = os.path.join(machine.RESULTS, 'marks.txt')
    check(on_quoll('linux', marks), 'Linux on Quoll')
    quoll = between(marks, 'kernel', '2')
    ratios = {}
    for name, tree in (('linux', True), ('linux_own_tree', False)):
        check(on_bare('linux', marks, tree), 'Linux on the bare machine')
        ratios[name] = compare(details, name, between(marks, 'kernel', '2'), quoll)
    return ratios


def count_work(details):
    marks = os.path.join(machine.RESULTS, 'marks.txt')
    check(on_quoll('work', marks), 'the workloads on Quoll')
    quoll = {name: between(marks, str(2 * number), str(2 * number + 1)) for name, number in WORK.items()}
    check(on_bare('work', marks, True), 'the workloads on the bare machine')
    bare = {name: between(marks, str(2 * number), str(2 * number + 1)) for name, number in WORK.items()}
    return {name: compare(details, name, bare[name], quoll[name]) for name in WORK}


def times(said):
    return {name: int(ns) for name, ns in re.findall(r'time (\w+) (\d+)', check(said, 'the workloads'))}


def wall_work(details):
    quoll, bare = times(on_quoll('work')), times(on_bare('work'))
    for name in WORK:
        details[name + '_wall'] = {'bare': bare[name], 'quoll': quoll[name], 'unit': 'ns'}
    return {name + '_wall': quoll[name] / bare[name] for name in WORK}


def seconds_until_userland(command, folder):
    begin = time.monotonic()
    with open(os.path.join(folder, 'errors'), 'wb') as errors, subprocess.Popen(
            ['timeout', '300', *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors) as process:
        said = b''
        while b'userland' not in said:
            piece = os.read(process.stdout.fileno(), 65536)
            if not piece:
                raise machine.Failure(f'the machine does not boot: {said[-2000:]}')
            said += piece
        seconds = time.monotonic() - begin
        process.terminate()
    return seconds


def wall_boot(details):
    """From the start of QEMU to the guest's first line; the best of some rounds, because the host has other things to do too."""
    with tempfile.TemporaryDirectory(prefix='quoll-bench-') as folder:
        place, image = os.path.join(folder, 'system.yaml'), os.path.join(folder, 'system.img')
        with open(place, 'w', encoding='utf-8') as out:
            out.write(system('boot'))
        machine.run([machine.TOOL, 'build', place, '-o', image], 60, 'quoll build')
        on_quoll_command = ['qemu-system-aarch64', '-nodefaults', '-no-user-config', '-display', 'none', '-cpu', machine.CPU,
                            '-machine', 'virt,virtualization=on,gic-version=3', '-smp', '2', '-m', '2048', '-serial', 'stdio',
                            '-kernel', os.path.join(machine.TARGET, 'kernel', 'quoll.Image'), '-initrd', image]
        rounds = [(seconds_until_userland(bare_command('boot'), folder), seconds_until_userland(on_quoll_command, folder))
                  for _ in range(BOOT_ROUNDS)]
    bare, quoll = (min(column) for column in zip(*rounds))
    details['boot_wall'] = {'bare': bare, 'quoll': quoll, 'unit': 's'}
    return {'boot_wall': quoll / bare}


def run(quick):
    """{"ratios": {name: ratio}, "details": what they are made of, "notes": [text]}"""
    details, notes = {}, []
    linux.build()
    machine.say('macro: Linux, instructions')
    read_tree()
    ratios = count_linux(details)
    if not quick:
        machine.say('macro: shell, processes, pipes, compile: instructions')
        ratios |= count_work(details)
        machine.say('macro: the same in wall time, and power-on to userland')
        ratios |= wall_work(details) | wall_boot(details)
        bare, quoll = details['boot_wall']['bare'], details['boot_wall']['quoll']
        if pgbench.available():
            machine.say('macro: pgbench in the demo\'s guest')
            ratios |= pgbench.run(details)
        else:
            notes.append('pgbench is left out: its guest is not there; ./quoll demo makes it')
        notes.append(f'power-on to userland: {bare:.2f} s on the bare machine, {quoll:.2f} s on Quoll')
    return {'ratios': ratios, 'details': details, 'notes': notes}
