"""An initramfs from Debian's own parts: busybox-static, stock kernel modules and one shell script."""

import gzip
import os
import re

# What a guest with virtio or NVMe disks and an ext4 root needs; what these need comes with them.
WANTED = ['virtio_mmio', 'virtio_pci', 'virtio_blk', 'virtio_console', 'virtio-rng', 'crc32c_generic', 'ext4', 'nvme']


def module_files(tree):
    """Module name (with '_' for '-') to file."""
    found = {}
    for folder, _, names in os.walk(tree):
        for name in names:
            if name.endswith('.ko'):
                found[name[:-3].replace('-', '_')] = os.path.join(folder, name)
    return found


def module_needs(path):
    with open(path, 'rb') as module:
        depends = re.search(rb'\0depends=([^\0]*)\0', module.read())
    return [name.replace('-', '_') for name in depends.group(1).decode().split(',') if name] if depends else []


def in_load_order(wanted, files):
    """The wanted modules and what they need, each after what it needs. Names without a file are built in."""
    order = []

    def add(name):
        if name in files and name not in order:
            for needed in module_needs(files[name]):
                add(needed)
            order.append(name)

    for name in wanted:
        add(name.replace('-', '_'))
    return order


class Archive:
    """A cpio archive of the kernel's "newc" format, in memory, with all times zero."""

    def __init__(self):
        self.parts = []
        self.number = 0

    def add(self, name, mode, data=b'', device=(0, 0)):
        self.number += 1
        encoded = name.encode() + b'\0'
        fields = (self.number, mode, 0, 0, 1, 0, len(data), 0, 0, device[0], device[1], len(encoded), 0)
        head = b'070701' + b''.join(b'%08x' % field for field in fields) + encoded
        self.parts.append(head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4))

    def folder(self, name):
        self.add(name, 0o040755)

    def file(self, name, data, executable=False):
        self.add(name, 0o100755 if executable else 0o100644, data)

    def compressed(self):
        self.add('TRAILER!!!', 0)
        return gzip.compress(b''.join(self.parts), compresslevel=1, mtime=0)


def read_file(path):
    with open(path, 'rb') as source:
        return source.read()


def write(archive, target):
    with open(target + '.new', 'wb') as out:
        out.write(archive.compressed())
    os.replace(target + '.new', target)


def build(modules, busybox, target):
    """Writes an initramfs without init. `modules`: the tree under lib/modules/VERSION."""
    files = module_files(modules)
    order = in_load_order(WANTED, files)
    archive = Archive()
    for folder in ('bin', 'dev', 'modules'):
        archive.folder(folder)
    archive.add('dev/console', 0o020600, device=(5, 1))
    archive.file('bin/busybox', read_file(busybox), executable=True)
    for name in order:
        archive.file('modules/' + name + '.ko', read_file(files[name]))
    archive.file('modules/order', ''.join(name + '.ko\n' for name in order).encode())
    write(archive, target)


def complete(base, init, extra, target):
    """Adds init and, in the folder "demo", further files; the kernel unpacks joined archives one after the other."""
    archive = Archive()
    archive.file('init', read_file(init), executable=True)
    archive.folder('demo')
    for path in extra:
        archive.file('demo/' + os.path.basename(path), read_file(path), os.access(path, os.X_OK))
    write(archive, target + '.end')
    with open(target + '.new', 'wb') as out:
        out.write(read_file(base) + read_file(target + '.end'))
    os.unlink(target + '.end')
    os.replace(target + '.new', target)
