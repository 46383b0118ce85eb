"""The systems under test: the same guest on Quoll, by a description of each setting."""

import os
import shutil

import guest_disk
import host
import machine

# How long the power supply lasts after the mains fail, in real time, for each disk. A rotating disk needs a small UPS: its last
# FLUSH may have to write out all that other volumes have left in its cache. 16 ms is what an ATX supply must give.
HOLD_UP_MS = {'7200rpm': 3000, 'consumer-ssd': 16, 'plp-nvme': 16}

DESCRIPTION = '''# Written by demo/systems.py: {comment}
system: postgresql
machine: {{cores: 4, memory: 2 GiB}}
power_fail: powerkey
disks:
  disk0: {entry}
vms:
  debian:
    memory: 1 GiB
    vcpus: [1, 2]
    kernel: {kernel}
    initrd: {initrd}
    command_line: console=hvc0 {command_line}
    disks:
      - {{disk: disk0, label: root}}
      - {{disk: disk0, label: wal{filter}}}
'''
RAPILOG = '''    rapilog:
      hold_up: {hold_up} ms
'''


def description(setting, disk, dilation):
    """The text of Quoll's description. Settings: plain, rapilog, and unsafe (RapiLog that ignores the loss of mains)."""
    comment = {'plain': 'the log on the plain disk', 'rapilog': 'the log on RapiLog',
               'unsafe': 'the log on a RapiLog that is told not to drain; it must lose transactions'}[setting]
    text = DESCRIPTION.format(comment=comment, entry=disk.entry(), kernel=guest_disk.KERNEL, initrd=guest_disk.INITRD,
                              command_line=machine.COMMAND_LINE, filter='' if setting == 'plain' else ', filter: rapilog')
    if setting != 'plain':
        text += RAPILOG.format(hold_up=round(HOLD_UP_MS[disk.kind] * dilation))
    if setting == 'unsafe':
        text += '      unsafe_no_drain: true\n'
    return text


class Systems:
    """Starts machines on a disk, one after the other; `name` keeps their files apart from those of others."""

    def __init__(self, name, dilation, more=()):
        self.name, self.dilation, self.more = name, dilation, list(more)
        self.count = 0
        self.control_path = os.path.join(host.PLACE, f'{name}.qmp')
        self.temporary = os.path.join(host.PLACE, f'{name}.tmp')

    def hold_up(self, disk):
        """Seconds of the host's clock."""
        return HOLD_UP_MS[disk.kind] * self.dilation / 1000

    def command(self, setting, disk):
        path = os.path.join(host.PLACE, f'{self.name}.yaml')
        with open(path, 'w', encoding='utf-8') as out:
            out.write(description(setting, disk, self.dilation))
        return [os.environ.get('QUOLL_TOOL', os.path.join(host.BUILD, 'host', 'tool', 'quoll')), 'run',
                '--qmp', self.control_path, *self.more, path]

    def boot(self, setting, disk):
        """A machine whose guest is waiting for orders, PostgreSQL running."""
        shutil.rmtree(self.temporary, ignore_errors=True)
        os.makedirs(self.temporary)
        self.count += 1
        started = machine.Machine(self.command(setting, disk), f'{self.name}-{self.count:02}-{setting}',
                                  self.control_path, dict(os.environ, TMPDIR=self.temporary))
        try:
            started.wait_ready()
            started.ask('start', patience=300)
        except BaseException:
            started.kill()
            raise
        return started
