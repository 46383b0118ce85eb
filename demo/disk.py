"""The disk under the experiment: the model in tests/disk-model, served by nbdkit to QEMU."""

import os
import signal
import socket
import subprocess
import time

import host

KINDS = ('7200rpm', 'consumer-ssd', 'plp-nvme')


class Disk:
    """A modelled disk with power on. Its image keeps what was durable."""

    def __init__(self, image, kind, dilation, seed=1):
        self.dilation = dilation
        self.socket_path = os.path.join(host.PLACE, 'disk.nbd')
        self.control_path = os.path.join(host.PLACE, 'disk.control')
        self.kind = kind
        for path in (self.socket_path, self.control_path):
            if os.path.exists(path):
                os.unlink(path)
        self.log = open(os.path.join(host.PLACE, 'log', 'disk.log'), 'ab')
        # Reads take no time: only durable writes are of interest, and start-up would take minutes.
        self.process = subprocess.Popen(
            ['nbdkit', '--foreground', '--unix', self.socket_path, '--threads', '4', host.find_plugin(),
             f'file={image}', f'disk={kind}', f'dilation={dilation}', 'reads=free', f'seed={seed}',
             f'control={self.control_path}'], stdout=self.log, stderr=self.log, start_new_session=True)
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

    def cut(self):
        self.tell('cut')

    def restore(self):
        self.tell('on')

    def uri(self):
        return f'nbd+unix:///?socket={self.socket_path}'

    def drives(self, volumes):
        """For bare QEMU: each volume of the disk as what follows -blockdev."""
        below = f'driver=nbd,server.type=unix,server.path={self.socket_path}'
        return [(below, start, size) for start, size in volumes]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
