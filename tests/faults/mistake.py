"""`./quoll torture --mistake NAME`: can the rig see that mistake? A mistake is a file of tests/mistakes; that the rig is to see it
too it says by a line `# rig: OPTIONS`, with which `./quoll torture` must lose something on a copy of the tree that has it."""

import glob
import json
import os
import re
import shlex
import shutil
import subprocess

import host

MISTAKES = os.path.join(host.ROOT, 'tests', 'mistakes')
COPY = os.path.join(host.BUILD, 'torture-mistake')
LEFT_ALONE = ('.git', 'build', '__pycache__')
GUESTS = ('guests', 'demo', os.path.join('torture', 'packages'))  # that need not be built again


def options_by_name():
    """Those that name options for the rig."""
    found = {}
    for path in sorted(glob.glob(os.path.join(MISTAKES, '*.diff'))):
        with open(path, encoding='utf-8') as source:
            line = re.search(r'^# rig: (.+)$', source.read(), re.M)
        if line:
            found[os.path.splitext(os.path.basename(path))[0]] = shlex.split(line.group(1))
    return found


def lend(folder):
    """Links what an earlier run has built for the guests into the copy's build folder."""
    source, target = os.path.join(host.BUILD, folder), os.path.join(COPY, 'build', folder)
    if os.path.exists(source):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.symlink(source, target)


def make_copy(name):
    shutil.rmtree(COPY, ignore_errors=True)
    shutil.copytree(host.ROOT, COPY, symlinks=True, ignore=lambda parent, names: [
        entry for entry in names if entry in LEFT_ALONE or os.path.join(parent, entry) == host.BUILD])
    host.run('making the mistake', ['patch', '-d', COPY, '-p1', '-F1', '-s', '-f', '-i', os.path.join(MISTAKES, name + '.diff')])
    for folder in GUESTS:
        lend(folder)


def torture(options):
    """Runs the rig of the copy. Returns what was lost or out of order."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith('QUOLL_')}
    subprocess.run([os.path.join(COPY, 'quoll'), 'torture', *options], cwd=COPY, env=environment, check=False)
    try:
        with open(os.path.join(COPY, 'build', 'torture', 'results.json'), encoding='utf-8') as results:
            rows = json.load(results)
    except OSError as error:
        raise host.Failure('with the mistake the rig came to no result') from error
    return sum(row['lost'] + row['out_of_order'] for row in rows if row['promised'])


def show(name):
    """Returns the exit status: 0 if the rig sees the mistake."""
    known = options_by_name()
    if name not in known:
        raise host.Failure(f'no mistake `{name}` for the rig; there are: {", ".join(known)}')
    host.say(f'a copy of the tree with the mistake {name}: ./quoll torture {" ".join(known[name])}')
    make_copy(name)
    seen = torture(known[name])
    shutil.rmtree(COPY)
    print(f'\nmistake {name}: ' + (f'the rig sees it: {seen} operations lost or out of order' if seen
                                   else 'THE RIG DOES NOT SEE IT'))
    return 0 if seen else 1
