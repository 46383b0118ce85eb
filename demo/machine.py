"""A running guest: its console as lines, the witness of what it acknowledged, and its end.

The guest runs in its own process group of the host: `quoll run` of a system description, or bare QEMU. Both give the VM's console on standard input and output.
"""

import json
import os
import queue
import re
import signal
import socket
import subprocess
import threading
import time

import host

BARE = ['qemu-system-aarch64', '-M', 'virt,gic-version=3', '-cpu', 'cortex-a72', '-smp', '2', '-m', '1024',
        '-nic', 'none', '-display', 'none', '-monitor', 'none', '-serial', 'stdio']
# The machine's clock counts instructions, four nanoseconds each. On bare QEMU it follows the host's clock while all CPUs are
# idle, as they are while the host's disk works; that is slower than QEMU could be, so that the host's disk takes no
# noticeable time. On Quoll an idle machine's clock jumps to the next timer: the timing service has one
# for each request, so no delay of the modelled disk costs real time.
COUNTING = ('-icount', 'shift=2')
ICOUNT = 'shift=2,sleep=off'
COMMAND_LINE = 'root=/dev/vda rw init=/run/demo/session quiet panic=1 nokaslr mitigations=off'


class Refused(host.Failure):
    """The guest answered that it could not do what it was asked."""


class Witness:
    """Sees what leaves the guest, and nothing else: for each client the numbers that were acknowledged, in order."""

    def __init__(self):
        self.lock = threading.Lock()
        self.first = {}
        self.last = {}
        self.disorder = []

    def note(self, client, number):
        with self.lock:
            expected = self.last.get(client, self.first.get(client, number) - 1) + 1
            if number != expected:
                self.disorder.append((client, expected, number))
            self.first.setdefault(client, number)
            self.last[client] = number

    def expect(self, client, number):
        """The client's next acknowledgement will be of this number."""
        with self.lock:
            self.first[client] = number
            self.last.pop(client, None)

    def seen(self):
        """Client to (first, last) of those that got at least one acknowledgement."""
        with self.lock:
            return {client: (self.first[client], last) for client, last in self.last.items()}

    def total(self):
        return sum(last - first + 1 for first, last in self.seen().values())


class Qmp:
    """As much of QEMU's control protocol as pulling a plug needs."""

    def __init__(self, path, patience=20):
        until = time.monotonic() + patience
        while True:
            try:
                self.socket = socket.socket(socket.AF_UNIX)
                self.socket.connect(path)
                break
            except OSError as error:
                self.socket.close()
                if time.monotonic() > until:
                    raise host.Failure(f'QEMU does not answer on {path}: {error}') from error
                time.sleep(0.05)
        self.lines = self.socket.makefile()
        self.lines.readline()
        self.command('qmp_capabilities')

    def command(self, name):
        self.socket.sendall(json.dumps({'execute': name}).encode() + b'\n')
        for line in self.lines:
            answer = json.loads(line)
            if 'return' in answer or 'error' in answer:
                return answer
        return None

    def close(self):
        self.lines.close()
        self.socket.close()


class Machine:
    """A guest that is running, or has ended."""

    def __init__(self, command, log_name, control_path, environment=None):
        os.makedirs(os.path.join(host.PLACE, 'log'), exist_ok=True)
        self.log_path = os.path.join(host.PLACE, 'log', log_name + '.log')
        self.log = open(self.log_path, 'wb', buffering=0)
        self.errors = open(os.path.join(host.PLACE, 'log', log_name + '.err'), 'wb')
        self.where = f'its console is in {self.log_path}, what was said besides in {self.errors.name}'
        self.control_path = control_path
        self.answers = queue.Queue()
        self.ended = 0
        self.witness = Witness()
        self.started = time.monotonic()
        if os.path.exists(control_path):
            os.unlink(control_path)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                        start_new_session=True, env=environment)
        self.reader = threading.Thread(target=self.read_console, daemon=True)
        self.reader.start()
        host.began(self)

    def read_console(self):
        with self.process.stdout as console:
            for raw in console:
                self.log.write(b'%9.3f ' % (time.monotonic() - self.started) + raw.rstrip(b'\r\n') + b'\n')
                line = raw.decode(errors='replace').strip('\r\n')
                acknowledged = re.match(r'ack (\d+) (\d+)$', line)
                if acknowledged:
                    self.witness.note(int(acknowledged.group(1)), int(acknowledged.group(2)))
                elif line.startswith('@'):
                    self.answers.put(line)
        self.log.flush()
        self.answers.put(None)

    def tell(self, line):
        try:
            self.process.stdin.write(line.encode() + b'\n')
            self.process.stdin.flush()
        except OSError as error:
            raise host.Failure(f'the guest is gone ({error}); its console is in {self.log_path}') from error

    def answer(self, patience=120):
        """The next line that begins with '@', as words; ends of witness clients are passed over."""
        until = time.monotonic() + patience
        while True:
            try:
                line = self.answers.get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                raise host.Failure(f'no answer from the guest for {patience} s; '
                                   f'its console is in {self.log_path}') from None
            if line is None:
                raise host.Failure(f'the guest ended unexpectedly; {self.where}')
            if not line.startswith('@ended'):
                return line[1:].split()
            self.ended += 1

    def ask(self, line, patience=120):
        self.tell(line)
        words = self.answer(patience)
        if words[0] == 'failed':
            raise Refused(f'the guest could not do "{line}": {" ".join(words[1:])}; its console is in {self.log_path}')
        return words

    def wait_for(self, words, patience=120):
        """Until the guest answers that. Returns what it had answered before, as lines."""
        before = []
        while (said := self.answer(patience)) != words:
            before.append(' '.join(said))
        return before

    def wait_ended(self, clients, patience=60):
        """Until so many witness clients have noticed that their server is gone, so that all they had to say is said."""
        until = time.monotonic() + patience
        while self.ended < clients:
            try:
                line = self.answers.get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                raise host.Failure(f'the clients did not end; the console is in {self.log_path}') from None
            if line is None:
                raise host.Failure(f'the guest ended unexpectedly; {self.where}')
            self.ended += line.startswith('@ended')
        self.ended = 0

    def wait_ready(self, patience=120):
        while self.answer(patience)[0] != 'ready':
            pass

    def wait_end(self, patience=120):
        """Waits until the machine is off. Returns the exit status."""
        try:
            status = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            raise host.Failure(f'the machine did not power off in {patience} s; '
                               f'its console is in {self.log_path}') from None
        self.close()
        return status

    def wait_end_at_most(self, seconds):
        """Gives the machine that long to power off by itself."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass

    def power_off(self):
        self.tell('off')
        return self.wait_end()

    def power_key(self):
        qmp = Qmp(self.control_path)
        qmp.command('system_powerdown')
        qmp.close()

    def cpu_seconds(self):
        return host.cpu_seconds(self.process.pid)

    def kill(self):
        """Every process of the machine is gone at once. Of one that has been waited for the number may be somebody else's now."""
        if self.process.returncode is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
        self.close()

    def close(self):
        host.ended(self)
        self.reader.join(5)
        self.log.close()
        self.errors.close()
        if self.process.stdin:
            try:
                self.process.stdin.close()
            except OSError:
                pass

    def running(self):
        return self.process.poll() is None


def bare_command(kernel, initrd, drives, control_path, *more):
    """Bare QEMU. `drives`: what follows -blockdev up to the node name, for the root and the wal volume."""
    command = BARE + ['-qmp', f'unix:{control_path},server=on,wait=off', '-kernel', kernel, '-initrd', initrd,
                      '-append', 'console=ttyAMA0 ' + COMMAND_LINE, *more]
    for number, (below, offset, size) in enumerate(drives):
        command += ['-blockdev', f'{below},node-name=below{number}',
                    '-blockdev', f'driver=raw,node-name=drive{number},file=below{number},offset={offset},size={size}',
                    '-device', f'virtio-blk-pci,drive=drive{number},write-cache=off']
    return command + ['-device', 'virtio-rng-pci']
