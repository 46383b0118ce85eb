"""What the small guest boots from: the kernel and initramfs of guests/linux, with the workloads and an init of their own."""

import os

import host
import initramfs

HERE = os.path.join(host.ROOT, 'tests', 'faults', 'guest')
LINUX = os.path.join(host.BUILD, 'guests', 'linux')
KERNEL = os.path.join(LINUX, 'vmlinuz')

def initrd():
    return os.path.join(host.PLACE, 'guest', 'initrd.img')


def compile_for_guest(source, target, *more):
    """A static program; gcc's cross compiler has the C library that it needs."""
    host.run(f'compiling {os.path.basename(source)}',
             ['aarch64-linux-gnu-gcc', '-std=c17', '-O2', '-static', '-Wall', '-Wextra', '-Wconversion', '-Wshadow',
              '-Wvla', '-Werror', source, '-o', target, *more])
    return target


def ensure(programs):
    """`programs`: name to (source, further words for the compiler). Built anew every time: it takes a second."""
    if not os.path.exists(KERNEL):
        host.say('making the small Linux guest from Debian packages')
        host.run('making the guest', [os.path.join(host.ROOT, 'guests', 'linux', 'build'), LINUX])
    place = os.path.dirname(initrd())
    os.makedirs(place, exist_ok=True)
    built = [compile_for_guest(os.path.join(HERE, source), os.path.join(place, name), *more)
             for name, (source, more) in programs.items()]
    initramfs.complete(os.path.join(LINUX, 'initrd.img'), os.path.join(HERE, 'init'), built, initrd())
