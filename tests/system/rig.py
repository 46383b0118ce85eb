"""What system tests share: running a description in QEMU, disks, and a way to fail that tells what broke.

A test is a file test_NAME.py whose first docstring line says what it shows. It runs alone too:
./quoll test NAME. Tests only use what a user has: ./quoll, its output and its exit status.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.environ.get('QUOLL_ROOT') or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get('QUOLL_BUILD') or os.path.join(ROOT, 'build')
TARGET = os.environ.get('QUOLL_TARGET') or os.path.join(BUILD, 'aarch64')
TOOL = os.environ.get('QUOLL_TOOL') or os.path.join(BUILD, 'host', 'tool', 'quoll')
SECTOR = 512
ALIGNMENT = 2048  # sectors; where partitions begin

folder = tempfile.TemporaryDirectory(prefix='quoll-system-test-')

LINUX = '''
    kernel: ${QUOLL_BUILD}/guests/linux/vmlinuz
    initrd: ${QUOLL_BUILD}/guests/linux/initrd.img
    command_line: console=hvc0 loglevel=4'''


class Failure(Exception):
    """A behaviour is not as it should be."""


def path(name):
    return os.path.join(folder.name, name)


def description(text):
    """Writes a description into the test's own folder; returns its path."""
    place = path('system.yaml')
    with open(place, 'w', encoding='utf-8') as out:
        out.write(text)
    return place


class Result:
    def __init__(self, status, out, log, seconds):
        self.status, self.out, self.log, self.seconds = status, out, log, seconds

    def show(self):
        return f'exit status {self.status}\n--- output\n{self.out[-3000:]}\n--- log\n{self.log[-3000:]}'

    def expect_status(self, status):
        if self.status != status:
            raise Failure(f'the exit status is {self.status}, it should be {status}\n{self.show()}')
        return self

    def expect(self, *texts):
        for text in texts:
            if text not in self.out:
                raise Failure(f'the output has no {text!r}\n{self.show()}')
        return self

    def expect_log(self, *texts):
        for text in texts:
            if text not in self.log:
                raise Failure(f'the log has no {text!r}\n{self.show()}')
        return self


class Machine:
    """A run of `quoll run` that a test can talk to while it goes on."""

    def __init__(self, text, *arguments, timeout=120):
        self.started = time.monotonic()
        self.log = open(path('log.txt'), 'w+b')
        self.out = b''
        self.seen = 0  # bytes of it that read_until has passed
        self.awaited = {}  # how often each text was waited for in the log
        # the time limit is the tool's own, so that nothing is left behind; the rig waits a little longer
        self.limit = timeout + 30
        self.process = subprocess.Popen(
            [TOOL, 'run', '--timeout', str(timeout), '--qmp', path('qmp'), *arguments, description(text)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)

    def type(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def read_log(self):
        self.log.seek(0)
        return self.log.read().decode(errors='replace').replace('\r', '')

    def read_until(self, pattern):
        """Reads output until it matches; what was matched does not match again. Returns the match."""
        while not (found := re.compile(pattern.encode()).search(self.out, self.seen)):
            piece = os.read(self.process.stdout.fileno(), 65536)
            if not piece:
                raise Failure(f'the output ended without {pattern!r}\n{self.finish().show()}')
            self.out += piece
        self.seen = found.end()
        return found

    def wait_for_log(self, text):
        """Until the log has the text once more than at the last call for it."""
        self.wait_for(text, self.read_log)

    def wait_for_stream(self, vm, text):
        """The same for the output of a VM that is not on the console; with --streams FOLDER of the test's own folder."""
        def read():
            with open(path(vm + '.txt'), encoding='utf-8', errors='replace') as stream:
                return stream.read()
        self.wait_for(text, read)

    def wait_for(self, text, read):
        self.awaited[text] = self.awaited.get(text, 0) + 1
        while read().count(text) < self.awaited[text]:
            if self.process.poll() is not None:
                raise Failure(f'the run ended without {text!r}\n{self.finish().show()}')
            time.sleep(0.05)

    def qmp(self, command):
        self.ask(command)

    def ask(self, command, **arguments):
        """One QMP command; returns what it returned."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path('qmp'))
            lines = client.makefile('rw')
            lines.readline()
            for asked in ({'execute': 'qmp_capabilities'}, {'execute': command, 'arguments': arguments}):
                lines.write(json.dumps(asked) + '\n')
                lines.flush()
                while 'return' not in (answer := json.loads(lines.readline())):
                    pass
        return answer['return']

    def kill(self):
        """The machine is gone from one moment to the next."""
        self.process.send_signal(signal.SIGKILL)
        return self.finish()

    def finish(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            while piece := os.read(self.process.stdout.fileno(), 65536):
                self.out += piece
            status = self.process.wait(self.limit)
        finally:
            self.process.kill()
        log = self.read_log()
        return Result(status, self.out.decode(errors='replace').replace('\r', ''), log,
                      time.monotonic() - self.started)


def run(text, *arguments, typed='', timeout=120):
    """Runs a description to its end; `typed` comes on standard input."""
    machine = Machine(text, *arguments, timeout=timeout)
    machine.type(typed)
    return machine.finish()


def make_disk(name, *partitions, size=128):
    """A GPT disk of `size` MiB; partitions are (label, MiB). Returns the first sectors of the partitions."""
    place = path(name)
    with open(place, 'wb') as disk:
        disk.truncate(size << 20)
    command, starts, start = ['sgdisk'], [], ALIGNMENT
    for number, (label, mib) in enumerate(partitions, 1):
        sectors = mib << 20 >> 9
        command += ['-n', f'{number}:{start}:{start + sectors - 1}', '-c', f'{number}:{label}']
        starts.append(start)
        start += sectors
    if partitions:
        subprocess.run(command + [place], check=True, stdout=subprocess.DEVNULL)
    return starts


def read_sectors(name, first, count):
    with open(path(name), 'rb') as disk:
        disk.seek(first * SECTOR)
        return disk.read(count * SECTOR)


def check(condition, text):
    if not condition:
        raise Failure(text)


def main(test):
    """Runs a test's function; its result is the exit status."""
    try:
        test()
    except Failure as failure:
        print(failure)
        sys.exit(1)
    finally:
        folder.cleanup()
