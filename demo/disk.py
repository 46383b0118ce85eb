"""The disk under an experiment.

For speed: an image behind Quoll's timing service, which is as slow as a named disk by the machine's own clock. For
faults: the model in tests/disk-model, served by nbdkit to QEMU, which forgets what was not flushed when the mains are cut.
"""

import os
import signal
import socket
import subprocess
import time

import host

class TimedDisk:
    """As slow as a named disk, and never without power."""

    def __init__(self, image, kind, dilation):
        self.image, self.kind, self.dilation = image, kind, dilation

    def entry(self):
        """What a system description says of it."""
        return f'{{file: "{self.image}", cache: unsafe, timing: {{like: {self.kind}, dilation: {self.dilation}}}}}'


class ModelledDisk:
    """A modelled disk with power on. Its image keeps what was durable."""

    def __init__(self, image, kind, dilation, seed=1, more=()):
        self.dilation = dilation
        self.socket_path = image + '.nbd'
        self.control_path = image + '.control'
        self.kind = kind
        for path in (self.socket_path, self.control_path):
            if os.path.exists(path):
                os.unlink(path)
        self.log = open(os.path.join(host.PLACE, 'log', 'disk.log'), 'ab')
        # Reads take no time: only durable writes are of interest, and start-up would take minutes.
        self.process = subprocess.Popen(
            ['nbdkit', '--foreground', '--unix', self.socket_path, '--threads', '4', host.find_plugin(),
             f'file={image}', f'disk={kind}', f'dilation={dilation}', 'reads=free', f'seed={seed}',
             f'control={self.control_path}', *more], stdout=self.log, stderr=self.log, start_new_session=True)
        host.began(self)
        for _ in range(500):
            if os.path.exists(self.socket_path) and os.path.exists(self.control_path):
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        self.stop()
        raise host.Failure(f'the disk model does not start; see {self.log.name}')

    def tell(self, line):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.control_path)
            connection.sendall(line.encode() + b'\n')
            answer = connection.makefile().readline().strip()
        if not answer.startswith('ok'):
            raise host.Failure(f'the disk model does not take "{line}": {answer or "no answer"}')
        return answer[3:]

    def slow_down(self, times):
        """From now on that many times slower; 1: as at the start."""
        self.tell(f'dilation {self.dilation * times}')

    def hurry(self):
        """From now on as fast as the real one."""
        self.tell('dilation 1')

    def cut(self):
        self.tell('cut')

    def has_power(self):
        return 'mains=on' in self.tell('stats').split()

    def restore(self):
        self.tell('on')

    def entry(self):
        return f'{{file: "nbd+unix:///?socket={self.socket_path}"}}'

    def cpu_seconds(self):
        return host.cpu_seconds(self.process.pid)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        host.ended(self)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
