"""What the demo needs from the host: places, progress lines, running programs."""

import os
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get('QUOLL_BUILD', os.path.join(ROOT, 'build'))
PLACE = os.path.join(BUILD, 'demo')
GUEST = os.path.join(ROOT, 'demo', 'guest')

STARTED = time.monotonic()


class Failure(Exception):
    """Something the user must know, in the user's words."""


# What runs, with methods kill() and cpu_seconds(): ended with the demo, however that ends. With the thread that started it.
living = {}
ending = threading.Event()


def began(thing):
    living[thing] = threading.current_thread()
    if ending.is_set():
        thing.kill()


def ended(thing):
    living.pop(thing, None)


def living_of(thread):
    return [thing for thing, starter in list(living.items()) if starter is thread]


def cpu_seconds(pid):
    """What a process of ours and its children have used so far."""
    ticks = 0
    try:
        with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as children:
            processes = [str(pid)] + children.read().split()
        for process in processes:
            with open(f'/proc/{process}/stat', encoding='ascii', errors='replace') as stat:
                ticks += sum(int(field) for field in stat.read().rsplit(')', 1)[1].split()[11:15])
    except OSError:  # it has just ended
        pass
    return ticks / os.sysconf('SC_CLK_TCK')


def end_all():
    ending.set()
    for thing in list(living):
        thing.kill()


def passed():
    """Seconds since the start."""
    return time.monotonic() - STARTED


def say(text):
    """A progress line, with the time since the start."""
    seconds = int(passed())
    print(f'[{seconds // 60}:{seconds % 60:02}] {text}', flush=True)


def run(what, command, **more):
    """Runs a program; its output is shown only when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace',
                          check=False, **more)
    if done.returncode != 0:
        tail = '\n'.join(done.stdout.splitlines()[-15:])
        raise Failure(f'{what} failed (exit status {done.returncode}): {" ".join(command[:4])} ...\n{tail}')
    return done.stdout


def newest(paths):
    return max(os.path.getmtime(path) for path in paths)


def find_plugin():
    """The disk model, as the native build left it."""
    places = [os.environ.get('QUOLL_DISK_MODEL', ''),
              os.path.join(BUILD, 'host', 'tests', 'disk-model', 'disk-model.so')]
    for place in places:
        if place and os.path.exists(place):
            return place
    raise Failure(f'the disk model is not built: {places[-1]} is missing; run ./quoll build-tree, or '
                  'meson compile in the native build folder (it needs nbdkit-plugin-dev)')


def fail(error):
    sys.stdout.flush()
    print(f'quoll demo: {error}', file=sys.stderr)
    sys.exit(1)
