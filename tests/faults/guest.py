"""What the guests boot from: the kernel and initramfs of guests/linux, with the workloads and an init of their own; for
PostgreSQL, the demo's. Both can mend a file system that cannot be mounted: writes that the disk refuses may be torn."""

import os
import shutil

import guest_disk
import host
import initramfs
import package_source

HERE = os.path.join(host.ROOT, 'tests', 'faults', 'guest')
LINUX = os.path.join(host.BUILD, 'guests', 'linux')
KERNEL = os.path.join(LINUX, 'vmlinuz')
PACKAGES = os.path.join(host.BUILD, 'torture', 'packages')


def initrd(name):
    """`name`: small or postgresql."""
    return os.path.join(host.PLACE, 'guest', name + '.img')


def package(name):
    """The folder with what is in a Debian package for the guest; fetched once."""
    folder = os.path.join(PACKAGES, name)
    if not os.path.exists(folder):
        host.say(f'fetching {name} for arm64')
        work = folder + '.work'
        shutil.rmtree(work, ignore_errors=True)
        os.makedirs(work)
        try:
            source = package_source.PackageSource(work)
            source.update()
            source.unpack(name, work + '/tree')
        except package_source.Missing as missing:
            raise host.Failure(f'{name} for the guest cannot be had: {missing}') from missing
        os.rename(work + '/tree', folder)
        shutil.rmtree(work)
    return folder


def mender():
    """e2fsck, beside demo/guest/mount-ext4."""
    target = os.path.join(host.PLACE, 'guest', 'e2fsck')
    shutil.copy(os.path.join(package('e2fsck-static'), 'sbin', 'e2fsck.static'), target)
    return target


def compile_for_guest(source, target, *more):
    """A static program; gcc's cross compiler has the C library that it needs."""
    host.run(f'compiling {os.path.basename(source)}',
             ['aarch64-linux-gnu-gcc', '-std=c17', '-O2', '-static', '-Wall', '-Wextra', '-Wconversion', '-Wshadow',
              '-Wvla', '-Werror', source, '-o', target, *more])
    return target


def ensure(programs, with_postgresql):
    """`programs`: name to (source, further words for the compiler). Built anew every time: it takes a second."""
    if not os.path.exists(KERNEL):
        host.say('making the small Linux guest from Debian packages')
        host.run('making the guest', [os.path.join(host.ROOT, 'guests', 'linux', 'build'), LINUX])
    place = os.path.dirname(initrd('small'))
    os.makedirs(place, exist_ok=True)
    built = [compile_for_guest(os.path.join(HERE, source), os.path.join(place, name), *more)
             for name, (source, more) in programs.items()]
    mount = [os.path.join(host.GUEST, 'mount-ext4'), mender()]
    initramfs.complete(os.path.join(LINUX, 'initrd.img'), os.path.join(HERE, 'init'), built + mount, initrd('small'))
    if with_postgresql:
        place, host.PLACE = host.PLACE, os.path.join(host.BUILD, 'demo')
        guest_disk.ensure()
        host.PLACE = place
        guest_disk.complete_initramfs(initrd('postgresql'), mount[1:])
