"""Single packages of Debian's for arm64, from wherever this machine gets its own; nothing is installed."""

import glob
import os
import subprocess

import packages


class Missing(Exception):
    """A package cannot be had; the text says why."""


def run(command, folder):
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise Missing(f'{done.stdout}\nthis failed: {" ".join(command)}; is the Debian mirror reachable?')
    return done.stdout


class PackageSource:
    """apt for arm64 with lists of its own in `folder`, so that the machine's are left alone."""

    def __init__(self, folder):
        self.folder = folder
        for name in ('state/lists/partial', 'cache/archives/partial'):
            os.makedirs(f'{folder}/{name}', exist_ok=True)
        for name, text in (('status', ''), ('sources.list', '\n'.join(packages.host_sources()) + '\n')):
            with open(f'{folder}/{name}', 'w', encoding='utf-8') as out:
                out.write(text)
        self.options = []
        for option in (f'Dir::State={folder}/state', f'Dir::Cache={folder}/cache', f'Dir::State::status={folder}/status',
                       f'Dir::Etc::sourcelist={folder}/sources.list', 'Dir::Etc::sourceparts=/dev/null',
                       'APT::Architecture=arm64', 'APT::Architectures=arm64', 'APT::Sandbox::User=root'):
            self.options += ['-o', option]

    def update(self):
        run(['apt-get', *self.options, '-q', 'update'], self.folder)

    def depends(self, name):
        return run(['apt-cache', *self.options, 'depends', '--no-recommends', '--no-suggests', name], self.folder)

    def unpack(self, name, tree):
        self.unpack_all([name], tree)

    def unpack_all(self, names, tree):
        run(['apt-get', *self.options, '-q', 'download', *names], self.folder)
        for name in names:
            for package in glob.glob(f'{self.folder}/{name}_*.deb'):
                run(['dpkg-deb', '-x', package, tree], self.folder)
