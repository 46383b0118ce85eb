"""Fetches the guest's packages: Debian 12 for arm64, from wherever this host gets its own Debian packages.

mmdebstrap only unpacks them (variant "extract"): no emulation, no maintainer scripts, a fraction of the
time. What those scripts would have set up and the demo needs is done in configure().
"""

import glob
import os
import re
import shutil

import host

RELEASE = 'bookworm'
PACKAGES = ['base-files', 'base-passwd', 'dash', 'bash', 'coreutils', 'util-linux', 'mount', 'busybox-static', 'sed',
            'grep', 'gzip', 'postgresql-15', 'linux-image-arm64']
# Not needed in a guest without users and network; the kernel is started from outside, its modules are in the initramfs.
LEFT_OUT = ['boot', 'usr/lib/modules', 'usr/share/doc', 'usr/share/man', 'usr/share/locale', 'usr/share/info']
POSTGRES_ID = 101


def one_line_sources(text):
    for line in text.splitlines():
        match = re.match(r'deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s+(.*)$', line.strip())
        if match and 'main' in match.group(4).split():
            options, uri, suite, _ = match.groups()
            signed = re.search(r'signed-by=(\S+)', options or '')
            yield uri, suite, signed.group(1) if signed else None


def deb822_sources(text):
    for stanza in re.split(r'\n\s*\n', text):
        fields = {}
        for line in stanza.splitlines():
            match = re.match(r'([A-Za-z-]+):\s*(.*)$', line)
            if match:
                fields[match.group(1).lower()] = match.group(2).split()
        if 'deb' not in fields.get('types', []) or 'main' not in fields.get('components', []) \
                or fields.get('enabled') == ['no']:
            continue
        signed = fields.get('signed-by', [None])[0]
        for uri in fields.get('uris', []):
            for suite in fields.get('suites', []):
                yield uri, suite, signed


def host_sources():
    """The host's own sources of this Debian release, as lines for the guest's apt."""
    lines = []
    places = ['/etc/apt/sources.list'] + sorted(glob.glob('/etc/apt/sources.list.d/*.list')) \
        + sorted(glob.glob('/etc/apt/sources.list.d/*.sources'))
    for place in places:
        if not os.path.exists(place):
            continue
        with open(place, encoding='utf-8', errors='replace') as source:
            text = source.read()
        parse = deb822_sources if place.endswith('.sources') else one_line_sources
        for uri, suite, signed in parse(text):
            if suite.rstrip('/') in (RELEASE, RELEASE + '-updates', RELEASE + '-security'):
                options = f'[signed-by={signed}] ' if signed and signed.startswith('/') else ''
                lines.append(f'deb {options}{uri} {suite} main')
    if not lines:
        raise host.Failure(f'no source of Debian 12 ({RELEASE}) packages in /etc/apt: the guest is made of them. '
                           'Add the line your Debian mirror gives you to /etc/apt/sources.list')
    return lines


def apt_settings():
    """The host's proxy and mirror settings, for mmdebstrap's own apt."""
    settings = []
    for line in host.run('apt-config', ['apt-config', 'dump']).splitlines():
        if re.match(r'Acquire::(http|https|ftp)::Proxy\b.*"\S+"', line):
            settings += ['--aptopt=' + line.rstrip(';')]
    return settings


def fetch(tree):
    """Unpacks the guest's packages into the folder `tree`."""
    shutil.rmtree(tree, ignore_errors=True)
    os.makedirs(os.path.dirname(tree), exist_ok=True)
    sources = tree + '.list'
    with open(sources, 'w', encoding='utf-8') as out:
        out.write('\n'.join(host_sources()) + '\n')
    host.run('fetching Debian packages for the guest', [
        'mmdebstrap', '--mode=root', '--variant=extract', '--architectures=arm64', '--skip=check/empty',
        '--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr', '--include=' + ','.join(PACKAGES),
        *apt_settings(), RELEASE, tree, sources])


def append(path, text):
    with open(path, 'a', encoding='utf-8') as out:
        out.write(text)


def configure(tree):
    """What the maintainer scripts would have done, as far as this guest needs it."""
    for name in ('passwd', 'group'):
        shutil.copy(f'{tree}/usr/share/base-passwd/{name}.master', f'{tree}/etc/{name}')
    append(f'{tree}/etc/passwd', f'postgres:x:{POSTGRES_ID}:{POSTGRES_ID}:PostgreSQL:/var/lib/postgresql:/bin/bash\n')
    append(f'{tree}/etc/group', f'postgres:x:{POSTGRES_ID}:\n')
    append(f'{tree}/etc/fstab', 'LABEL=root / ext4 noatime 0 1\nLABEL=wal /var/lib/postgresql/wal ext4 noatime,lazytime 0 2\n')
    os.makedirs(f'{tree}/var/lib/postgresql/15', exist_ok=True)
    os.makedirs(f'{tree}/var/lib/postgresql/wal', exist_ok=True)
    for name in LEFT_OUT:
        shutil.rmtree(os.path.join(tree, name), ignore_errors=True)
