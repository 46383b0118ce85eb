"""What the guests boot from: the kernel and initramfs of guests/linux, with the workloads and an init of their own; for
PostgreSQL, the demo's. Of each there is one more, for guests that may mend a file system: see Stage.mends()."""

import contextlib
import fcntl
import os
import shutil
import tempfile

import guest_disk
import host
import initramfs
import package_source

HERE = os.path.join(host.ROOT, 'tests', 'faults', 'guest')
LINUX = os.path.join(host.BUILD, 'guests', 'linux')
KERNEL = os.path.join(LINUX, 'vmlinuz')
PACKAGES = os.path.join(host.BUILD, 'torture', 'packages')


def initrd(name, mends=False):
    """`name`: small or postgresql. `mends`: with e2fsck."""
    return os.path.join(host.PLACE, 'guest', name + ('-mends' if mends else '') + '.img')


@contextlib.contextmanager
def alone():
    """Rigs that run at a time, each in a folder of its own, share what is made once: one makes it, the others wait."""
    os.makedirs(PACKAGES, exist_ok=True)
    lock = os.open(PACKAGES, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def fetch(name, folder):
    host.say(f'fetching {name} for arm64')
    work = tempfile.mkdtemp(prefix=name + '.', dir=PACKAGES)
    try:
        source = package_source.PackageSource(work)
        source.update()
        source.unpack(name, work + '/tree')
        os.rename(work + '/tree', folder)
    except package_source.Missing as missing:
        raise host.Failure(f'{name} for the guest cannot be had: {missing}') from missing
    finally:
        shutil.rmtree(work)


def package(name):
    """The folder with what is in a Debian package for the guest; fetched once."""
    folder = os.path.join(PACKAGES, name)
    with alone():
        if not os.path.exists(folder):
            fetch(name, folder)
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


def ensure_shared(with_postgresql):
    """What all rigs and the demo boot from."""
    if not os.path.exists(KERNEL):
        host.say('making the small Linux guest from Debian packages')
        host.run('making the guest', [os.path.join(host.ROOT, 'guests', 'linux', 'build'), LINUX])
    if with_postgresql:
        place, host.PLACE = host.PLACE, os.path.join(host.BUILD, 'demo')
        try:
            guest_disk.ensure()
        finally:
            host.PLACE = place


def ensure(programs, with_file_system, with_postgresql):
    """`programs`: name to (source, further words for the compiler). Built anew every time: it takes a second."""
    with alone():
        ensure_shared(with_postgresql)
    place = os.path.dirname(initrd('small'))
    os.makedirs(place, exist_ok=True)
    built = [compile_for_guest(os.path.join(HERE, source), os.path.join(place, name), *more)
             for name, (source, more) in programs.items()]
    built.append(os.path.join(host.GUEST, 'mount-ext4'))
    for mends in (False, True) if with_file_system else (False,):
        more = [mender()] if mends else []
        initramfs.complete(os.path.join(LINUX, 'initrd.img'), os.path.join(HERE, 'init'), built + more, initrd('small', mends))
        if with_postgresql:
            guest_disk.complete_initramfs(initrd('postgresql', mends), more)
