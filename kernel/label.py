#!/usr/bin/env python3
"""The trust label: one line that the kernel prints at boot, saying what it was built of and what was checked.

    0.1.0, sources 3fa9c2e1d0b4, clang 14.0.6 -O2; checked: attack fuzz model proof static unit
    0.1.0, sources 3fa9c2e1d0b4, clang 14.0.6 -O2; not assured

The sources are named by a hash over everything that Quoll is made of (FOLDERS), not by a commit: so it also holds for a tree
without its history. A complete `./quoll assure` in which nothing failed leaves tests/assure/label; its checks are claimed only
by kernels that are built of exactly the sources that it names. The same sources and the same label file give the same bytes.

    label.py OUTPUT DEPFILE ROOT VERSION CONFIGURATION     makes label.c (called by kernel/meson.build)
    label.py ROOT                                          prints the hash of the sources
"""

import hashlib
import os
import sys

FOLDERS = ('cross', 'drivers', 'include', 'kernel', 'lib', 'services', 'tool', 'vmm')
FILES = ('meson.build',)
SHOWN_DIGITS = 12


def place(root):
    return os.path.join(root, 'tests', 'assure', 'label')


def list_sources(root):
    found = list(FILES)
    for folder in FOLDERS:
        for parent, folders, names in os.walk(os.path.join(root, folder)):
            folders[:] = [name for name in folders if name != '__pycache__']
            found += [os.path.relpath(os.path.join(parent, name), root) for name in names]
    return sorted(found)


def hash_sources(root):
    whole = hashlib.sha256()
    for name in list_sources(root):
        with open(os.path.join(root, name), 'rb') as source:
            whole.update(f'{name}\0{hashlib.sha256(source.read()).hexdigest()}\n'.encode())
    return whole.hexdigest()


def write(root, sources, kinds):
    with open(place(root), 'w', encoding='utf-8') as out:
        out.write(f'sources {sources}\nchecked {" ".join(sorted(kinds))}\n')


def read(root):
    """The hash of the assured sources and what was checked; neither is known when there is no label."""
    try:
        with open(place(root), encoding='utf-8') as source:
            fields = dict(line.rstrip('\n').split(' ', 1) for line in source)
        return fields['sources'], fields['checked']
    except (OSError, ValueError, KeyError):
        return None, None


def withdraw(root, sources):
    if read(root)[0] == sources:
        os.unlink(place(root))


def line(root, version, configuration):
    sources = hash_sources(root)
    assured, checked = read(root)
    verdict = f'checked: {checked}' if assured == sources else 'not assured'
    return f'{version}, sources {sources[:SHOWN_DIGITS]}, {configuration}; {verdict}'


def main(output, depfile, root, version, configuration):
    text = line(root, version, configuration).replace('\\', '\\\\').replace('"', '\\"')
    with open(output, 'w', encoding='utf-8') as out:
        out.write(f'#include "label.h"\n\nconst char kernel_label[] = "{text}";\n')
    # the folder stands for a label file that comes or goes
    needed = [os.path.join(root, name) for name in list_sources(root)] + [os.path.dirname(place(root))]
    needed += [place(root)] if os.path.exists(place(root)) else []
    with open(depfile, 'w', encoding='utf-8') as out:
        out.write(f'{output}: ' + ' '.join(name.replace(' ', '\\ ') for name in needed if os.path.exists(name)) + '\n')


if __name__ == '__main__':
    if len(sys.argv) == 2:
        print(hash_sources(sys.argv[1]))
    elif len(sys.argv) == 6:
        main(*sys.argv[1:])
    else:
        sys.exit(__doc__)
