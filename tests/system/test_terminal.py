#!/usr/bin/env python3
"""On a terminal: keys reach the guest (Ctrl-C too), Ctrl-A h helps, Ctrl-A x leaves at once and restores the terminal."""
import os
import pty
import termios
import time

import rig


class Terminal:
    def __init__(self, description):
        self.out = b''
        self.process, self.keys = pty.fork()
        if self.process == 0:
            os.execv(rig.TOOL, [rig.TOOL, 'run', '--timeout', '100', description])

    def type(self, text):
        os.write(self.keys, text)

    def read_until(self, text):
        begin = len(self.out)
        while text not in self.out[begin:]:
            try:
                self.out += os.read(self.keys, 65536)
            except OSError:
                raise rig.Failure(f'the output ended without {text!r}:\n{self.out.decode(errors="replace")}') from None


def test():
    terminal = Terminal(rig.description(f'vms:\n  linux:\n{rig.LINUX}\n'))
    terminal.read_until(b'/ # ')
    terminal.type(b'sleep 1000\r')
    time.sleep(1)
    terminal.type(b'\x03echo $((40+2))\r')
    terminal.read_until(b'42\r\n')
    settings = termios.tcgetattr(terminal.keys)
    rig.check(not settings[3] & termios.ECHO, 'the terminal is not raw')
    terminal.type(b'\x01h')
    terminal.read_until(b'power key')
    terminal.type(b'\x01x')
    _, status = os.waitpid(terminal.process, 0)
    rig.check(os.waitstatus_to_exitcode(status) == 0, f'status {status}')
    settings = termios.tcgetattr(terminal.keys)
    rig.check(settings[3] & termios.ECHO, 'the terminal stays raw')


rig.main(test)
