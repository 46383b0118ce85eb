"""Builds what the guest boots from: kernel, initramfs and the disk, from Debian's own packages.

The disk has two GPT partitions, "root" (everything, with the database) and "wal" (the database's log). PostgreSQL's
own initdb runs in the guest's first boot, in bare QEMU; in the second, the speed of the emulated CPU is measured.
"""

import glob
import hashlib
import json
import os
import shutil

import dilation
import host
import initramfs
import machine
import packages

MIB = 1 << 20
ROOT_START, ROOT_SIZE = 1 * MIB, 1152 * MIB
WAL_START, WAL_SIZE = ROOT_START + ROOT_SIZE, 512 * MIB
DISK_SIZE = WAL_START + WAL_SIZE + 1 * MIB
VOLUMES = ((ROOT_START, ROOT_SIZE), (WAL_START, WAL_SIZE))
SCALE = 2  # pgbench: 100,000 accounts each

KERNEL = os.path.join(host.PLACE, 'vmlinuz')
BASE = os.path.join(host.PLACE, 'initrd.base')
INITRD = os.path.join(host.PLACE, 'initrd')
PRISTINE = os.path.join(host.PLACE, 'guest.raw')
STAMP = os.path.join(host.PLACE, 'guest.json')


def recipe():
    """Changes when anything that goes into the disk does."""
    digest = hashlib.sha256()
    own = [os.path.join(host.GUEST, name) for name in ('postgresql.conf', 'tables.sql', 'calibrate')]
    for name in own + [packages.__file__, initramfs.__file__, dilation.__file__, __file__]:
        with open(name, 'rb') as source:
            digest.update(source.read())
    return digest.hexdigest()


def known():
    """What an earlier build wrote down, if its disk is still good."""
    try:
        with open(STAMP, encoding='utf-8') as stamp:
            facts = json.load(stamp)
    except (OSError, ValueError):
        return None
    complete = all(os.path.exists(path) for path in (KERNEL, BASE, PRISTINE))
    return facts if complete and facts.get('recipe') == recipe() else None


def make_image(tree, image):
    """A GPT disk with both file systems; nothing is mounted."""
    with open(image, 'wb') as out:
        out.truncate(DISK_SIZE)
    sector = 512
    host.run('partitioning the guest disk', [
        'sgdisk', '--clear',
        f'--new=1:{ROOT_START // sector}:{(ROOT_START + ROOT_SIZE) // sector - 1}', '--change-name=1:root',
        f'--new=2:{WAL_START // sector}:{(WAL_START + WAL_SIZE) // sector - 1}', '--change-name=2:wal', image])
    for label, start, size, source in (('root', ROOT_START, ROOT_SIZE, ['-d', tree]), ('wal', WAL_START, WAL_SIZE, [])):
        host.run(f'making the file system "{label}"', [
            'mke2fs', '-q', '-F', '-t', 'ext4', '-L', label, '-m', '0', *source,
            '-E', f'offset={start},lazy_itable_init=0,lazy_journal_init=0', image, f'{size // 1024}k'])


def bare_machine(image, name, *more):
    """The guest on bare QEMU, its disk without any delay."""
    drives = [(f'driver=file,filename={image},cache.no-flush=on,locking=off', start, size) for start, size in VOLUMES]
    control = os.path.join(host.PLACE, f'{name}.qmp')
    return machine.Machine(machine.bare_command(KERNEL, INITRD, drives, control, *more), name, control)


def first_boot(image):
    """Lets the guest create its database."""
    guest = bare_machine(image, 'first-boot')
    try:
        guest.wait_ready()
        host.say('creating the database (initdb, pgbench -i) in the guest')
        guest.ask(f'prepare {SCALE}', patience=400)
        while guest.answer(400) != ['ok', 'prepare']:
            pass
        guest.power_off()
    finally:
        if guest.running():
            guest.kill()


def calibrate(image):
    """How slow the emulated CPU is when it counts instructions, with what that was computed from."""
    host.say('measuring how slow the emulated CPU is')
    guest = bare_machine(image, 'calibration', *machine.COUNTING)
    on_host = {}
    try:
        guest.wait_ready()
        in_guest = dilation.of_guest(guest)
        for _ in range(5):
            dilation.take_least(on_host, dilation.of_host())
        guest.power_off()
    finally:
        if guest.running():
            guest.kill()
    return {'dilation': dilation.factor(on_host, in_guest), 'guest_work_us': in_guest, 'host_work_us': on_host}


def complete_initramfs(target=INITRD, more=()):
    """The demo's own files come with the initramfs: what is on the disk is Debian's only. `more`: further files for it."""
    own = [os.path.join(host.GUEST, name)
           for name in ('mount-ext4', 'session', 'calibrate', 'postgresql.conf', 'tables.sql', 'insert.sql')]
    initramfs.complete(BASE, os.path.join(host.GUEST, 'initramfs-init'), [*own, *more], target)


def build():
    tree = os.path.join(host.PLACE, 'tree')
    host.say('fetching and unpacking Debian packages for the guest (arm64, about 200 MB)')
    packages.fetch(tree)
    shutil.copyfile(glob.glob(f'{tree}/boot/vmlinuz-*')[0], KERNEL)
    initramfs.build(glob.glob(f'{tree}/usr/lib/modules/*')[0], f'{tree}/bin/busybox', BASE)
    complete_initramfs()
    packages.configure(tree)
    host.say('making the guest disk (GPT, volumes "root" and "wal")')
    image = PRISTINE + '.new'
    make_image(tree, image)
    shutil.rmtree(tree)
    host.say('first boot of the guest, in bare QEMU')
    first_boot(image)
    facts = {'recipe': recipe(), **calibrate(image)}
    os.replace(image, PRISTINE)
    with open(STAMP, 'w', encoding='utf-8') as stamp:
        json.dump(facts, stamp, indent=1)
    return facts


def ensure():
    """Builds the disk unless it is there. Returns what was measured in its first boot."""
    os.makedirs(host.PLACE, exist_ok=True)
    facts = known()
    if not facts:
        return build()
    complete_initramfs()
    host.say('the guest disk is there from an earlier run')
    return facts


def fresh_copy(name):
    """A disk of its own for an experiment."""
    target = os.path.join(host.PLACE, name)
    host.run('copying the guest disk', ['cp', '--sparse=always', '--reflink=auto', PRISTINE, target])
    return target


if __name__ == '__main__':
    try:
        ensure()
    except host.Failure as failure:
        host.fail(failure)
