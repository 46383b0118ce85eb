#!/usr/bin/env python3
"""Whatever is wrong with image, kernel, disk or description: a plain message that names the thing, and status 1."""
import os
import subprocess

import rig


def damaged_image():
    """A bit of the system image flips between build and boot."""
    image = rig.path('image')
    text = rig.description('components: {hello: {machine: true}}\n')
    subprocess.run([rig.TOOL, 'build', text, '-o', image], check=True, stderr=subprocess.DEVNULL)
    with open(image, 'r+b') as file:
        file.seek(5000)
        byte = file.read(1)
        file.seek(5000)
        file.write(bytes([byte[0] ^ 4]))
    return boot(image)


def boot(image, machine='virt,virtualization=on,gic-version=3'):
    done = subprocess.run(['timeout', '20', 'qemu-system-aarch64', '-M', machine, '-cpu', 'cortex-a72', '-smp', '2',
                           '-m', '512', '-nographic', '-nic', 'none', '-kernel',
                           os.path.join(rig.TARGET, 'kernel/quoll.Image'), *(['-initrd', image] if image else [])],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.stdout.decode(errors='replace')


def expect(text, words, what):
    rig.check(words in text, f'{what}: expected {words!r}, got:\n{text}')
    print(f'{what}: ' + next(line for line in text.splitlines() if words in line).strip())


def test():
    expect(damaged_image(), 'quoll: stopped: ', 'damaged image')
    expect(boot(None), 'quoll: stopped: ', 'no image')
    expect(boot(None, 'virt,gic-version=3'), 'quoll: stopped: ', 'no EL2')
    with open(rig.path('Image'), 'wb') as kernel:
        kernel.write(bytes(24) + b'\1' + bytes(31) + b'ARMd' + bytes(100000))  # flags: big-endian
    result = rig.run('vms: {a: {kernel: Image, memory: 64 MiB}}\n', timeout=30).expect_status(1)
    expect(result.log, 'the kernel is big-endian', 'a kernel that this machine cannot run')
    result = rig.run('vms: {a: {kernel: /bin/ls, memory: 64 MiB}}\n', timeout=30).expect_status(1)
    expect(result.log, 'is no arm64 Linux Image', 'a kernel that is none')
    rig.make_disk('disk.img', ('root', 16))
    system = 'disks: {disk0: {file: disk.img}}\nvms:\n  linux:\n    disks: [{disk: disk0, label: data}]\n' + rig.LINUX + '\n'
    result = rig.run(system, timeout=60, typed='poweroff -f\n').expect_status(1)
    expect(result.log, '"data"', 'a label that the disk does not have')
    result = rig.run(system.replace('disk.img', 'none.img'), timeout=60).expect_status(1)
    expect(result.log, 'none.img', 'a disk without a file')


rig.main(test)
