"""The Linux guest of the macro benchmarks: Debian's kernel and busybox as in guests/linux, a program that works like
lmbench, and Debian's tcc with some of Quoll's own sources to compile. Nothing of it is Quoll's but the workload."""

import glob
import importlib.machinery
import importlib.util
import os
import shutil
import sys

import machine

PLACE = os.path.join(machine.BUILD, 'guests', 'linux-bench')
BASE = os.path.join(machine.BUILD, 'guests', 'linux')
KERNEL = os.path.join(BASE, 'vmlinuz')
INITRD = os.path.join(PLACE, 'initrd.img')
SOURCE = os.path.join(machine.ROOT, 'guests', 'bench', 'linux')
LIBRARIES = ('ld-linux-aarch64.so.1', 'libc.so.6', 'libm.so.6', 'libpthread.so.0', 'libdl.so.2')
INCLUDES = ('include', 'lib/quoll/include', 'lib/common', 'vmm', 'services/rapilog')


def load(name, path):
    loader = importlib.machinery.SourceFileLoader(name, path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


def fetch_compiler():
    """Debian's tcc for arm64 and the libraries that it needs; {file: path}. None when the mirror has none."""
    folder = os.path.join(PLACE, 'compiler')
    if not os.path.exists(os.path.join(folder, 'tcc')):
        machine.say('fetching tcc for arm64')
        work = os.path.join(PLACE, 'work')
        shutil.rmtree(work, ignore_errors=True)
        os.makedirs(f'{work}/tree')
        source = load('guests_linux_build', os.path.join(machine.ROOT, 'guests', 'linux', 'build')).PackageSource(work)
        source.update()
        for package in ('libc6', 'tcc'):
            source.unpack(package, f'{work}/tree')
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        for name in LIBRARIES:
            shutil.copy(f'{work}/tree/lib/aarch64-linux-gnu/{name}', folder)
        shutil.copy(f'{work}/tree/usr/bin/tcc', folder)
        shutil.rmtree(work)
    return {name: os.path.join(folder, name) for name in os.listdir(folder)}


def preprocess(source):
    """What the compiler in the guest gets: one file without includes."""
    out = os.path.join(PLACE, os.path.basename(source))
    folders = [f'-I{os.path.join(machine.ROOT, name)}' for name in INCLUDES]
    headers = machine.run(['aarch64-linux-gnu-gcc', '-print-file-name=include'], 10, 'the cross compiler').strip()
    machine.run(['aarch64-linux-gnu-gcc', '-E', '-P', '-ffreestanding', '-nostdinc', *folders, '-isystem', headers, source, '-o', out],
                60, 'preparing a source for the compile benchmark')
    return out


def newest(paths):
    return max(os.path.getmtime(path) for path in paths)


def initramfs_module():
    sys.path.insert(0, os.path.join(machine.ROOT, 'demo'))
    import initramfs  # pylint: disable=import-outside-toplevel
    return initramfs


def build_base():
    """Debian's kernel and busybox, if they are not there yet."""
    if not os.path.exists(KERNEL):
        machine.say('making the Linux guest (guests/linux/build)')
        machine.run([os.path.join(machine.ROOT, 'guests', 'linux', 'build'), BASE], 600, 'guests/linux/build')


def build():
    """Makes what is missing."""
    initramfs = initramfs_module()
    os.makedirs(PLACE, exist_ok=True)
    build_base()
    sources = sorted(glob.glob(os.path.join(machine.ROOT, 'services', 'rapilog', '*.c')))
    inputs = sources + [os.path.join(SOURCE, name) for name in ('init', 'workload.c')] + [os.path.join(BASE, 'initrd.img')]
    if os.path.exists(INITRD) and os.path.getmtime(INITRD) > newest(inputs):
        return
    workload = os.path.join(PLACE, 'workload')
    machine.run(['aarch64-linux-gnu-gcc', '-static', '-O2', '-Wall', '-Wextra', '-Werror', '-o', workload, os.path.join(SOURCE, 'workload.c')],
                60, 'building the workload')
    archive = initramfs.Archive()
    archive.file('init', initramfs.read_file(os.path.join(SOURCE, 'init')), executable=True)
    archive.file('bin/workload', initramfs.read_file(workload), executable=True)
    archive.folder('compile')
    for name, path in sorted(fetch_compiler().items()):
        archive.file('compile/' + name, initramfs.read_file(path), executable=True)
    for source in sources:
        archive.file('compile/' + os.path.basename(source), initramfs.read_file(preprocess(source)))
    initramfs.write(archive, INITRD + '.end')
    with open(INITRD + '.new', 'wb') as out:
        out.write(initramfs.read_file(os.path.join(BASE, 'initrd.img')) + initramfs.read_file(INITRD + '.end'))
    os.unlink(INITRD + '.end')
    os.replace(INITRD + '.new', INITRD)
