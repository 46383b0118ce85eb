"""Running the benchmark guest, on the bare machine and on Quoll, in the same emulated machine."""

import os
import re
import subprocess
import sys
import tempfile

ROOT = os.environ.get('QUOLL_ROOT') or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get('QUOLL_BUILD') or os.path.join(ROOT, 'build')
TARGET = os.environ.get('QUOLL_TARGET') or os.path.join(BUILD, 'aarch64')
TOOL = os.environ.get('QUOLL_TOOL') or os.path.join(BUILD, 'host', 'tool', 'quoll')
RESULTS = os.path.join(BUILD, 'bench')
GUEST = os.path.join(TARGET, 'guests', 'bench', 'bench.Image')

# One instruction is 1 ns of virtual time; while everybody sleeps, time jumps to the next timer.
ICOUNT = 'shift=0,sleep=off'
NS_PER_TICK = 16  # of the counter of 62.5 MHz
CPU = 'cortex-a72'
BARE = ['qemu-system-aarch64', '-nodefaults', '-no-user-config', '-display', 'none', '-cpu', CPU,
        '-machine', 'virt,gic-version=3,dtb-randomness=off', '-global', 'virtio-mmio.force-legacy=false']


class Failure(Exception):
    """Something could not be measured."""


def say(text):
    print(f'  {text}', file=sys.stderr, flush=True)


def run(command, seconds, what):
    """The output of a command that must end well."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              errors='replace', timeout=seconds, check=False)
    except subprocess.TimeoutExpired as late:
        raise Failure(f'{what}: not finished after {seconds} s: {" ".join(command)}') from late
    if done.returncode != 0:
        raise Failure(f'{what}: exit status {done.returncode} of: {" ".join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}')
    return done.stdout


def plugin(name):
    """The QEMU plugin of that name in this folder; builds it."""
    place, source = os.path.join(RESULTS, f'{name}.so'), os.path.join(ROOT, 'tests', 'bench', f'{name}.c')
    if not os.path.exists(place) or os.path.getmtime(place) < os.path.getmtime(source):
        run(['cc', '-shared', '-fPIC', '-O2', '-Wall', '-Wextra', '-Werror', '-o', place, source], 60, f'the plugin {name}')
    return place


def results(output, what):
    """{name: ns of one round} from the lines "bench NAME TICKS ROUNDS"."""
    if 'bench: done' not in output:
        raise Failure(f'{what}: the benchmark guest did not finish; it said:\n{output[-2000:]}')
    found = re.findall(r'^(?:[\w.-]+: )?bench (\w+) (\d+) (\d+)\r?$', output, re.M)
    return {name: int(ticks) * NS_PER_TICK / max(1, int(rounds)) for name, ticks, rounds in found}


def bare(mode, cpus, icount, *more):
    """The guest's output on the bare machine, at EL1."""
    command = [*BARE, '-m', '64', '-smp', str(cpus), '-serial', 'stdio', '-kernel', GUEST, '-append', f'bench:{mode}', *more]
    return run(command + (['-icount', ICOUNT] if icount else []), 120, f'{mode} on the bare machine')


def quoll(text, icount, *more, seconds=120, vmm=None):
    """What the guests of a system say, and its log. `text` is its description; `vmm` takes the place of Quoll's own."""
    with tempfile.TemporaryDirectory(prefix='quoll-bench-') as folder:
        if vmm is not None:
            os.symlink(vmm, os.path.join(folder, 'vmm'))
        place = os.path.join(folder, 'system.yaml')
        with open(place, 'w', encoding='utf-8') as out:
            out.write(text)
        streams = os.path.join(folder, 'streams')
        os.mkdir(streams)
        command = [TOOL, 'run', '--quiet', '--timeout', str(seconds), '--streams', streams, '--log', f'{folder}/log.txt', *more]
        run(command + (['--icount', ICOUNT] if icount else []) + [place], seconds + 30, 'on Quoll')
        said = {}
        for name in os.listdir(streams):
            with open(os.path.join(streams, name), encoding='utf-8', errors='replace') as stream:
                said[name.removesuffix('.txt')] = stream.read().replace('\r', '')
        with open(f'{folder}/log.txt', encoding='utf-8', errors='replace') as log:
            said['log'] = log.read()
        return said


def vm(name, mode, vcpus, more=''):
    return f'''  {name}:
    memory: 16 MiB
    vcpus: {vcpus}
    kernel: {GUEST}
    command_line: bench:{mode}
    seed: bench
{more}'''


def system(cores, *vms, more=''):
    return f'machine: {{cores: {cores}, cpu: {CPU}}}\n{more}vms:\n' + ''.join(vms)
