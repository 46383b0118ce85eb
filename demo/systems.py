"""The systems under test: the same guest on Quoll, by a description of each setting."""

import os
import shutil

import guest_disk
import host
import machine

DESCRIPTION = '''# Written by demo/systems.py: {comment}
system: postgresql
machine: {{cores: {cores}, memory: 2 GiB}}
power_fail: powerkey
disks:
  disk0: {entry}
vms:
  debian:
    memory: 1 GiB
    vcpus: {vcpus}
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


def description(setting, disk, vcpus, hold_up_ms):
    """The text of Quoll's description: the services on core 0, each vCPU on one of its own. Settings: plain, rapilog, and unsafe (RapiLog that ignores the loss of mains)."""
    comment = {'plain': 'the log on the plain disk', 'rapilog': 'the log on RapiLog',
               'unsafe': 'the log on a RapiLog that is told not to drain; it must lose transactions'}[setting]
    text = DESCRIPTION.format(comment=comment, entry=disk.entry(), cores=1 + vcpus, vcpus=list(range(1, 1 + vcpus)), kernel=guest_disk.KERNEL, initrd=guest_disk.INITRD,
                              command_line=machine.COMMAND_LINE, filter='' if setting == 'plain' else ', filter: rapilog')
    if setting != 'plain':
        text += RAPILOG.format(hold_up=round(hold_up_ms))
        if vcpus == 1:  # no interrupt between cores on the way of a commit, and the guest need not go to sleep meanwhile
            text += '      core: 1\n'
    if setting == 'unsafe':
        text += '      unsafe_no_drain: true\n'
    return text


class Systems:
    """Starts machines on a disk, one after the other; `name` keeps their files apart from those of others. `hold_up_ms`: how
    long the power supply lasts after the mains fail."""

    def __init__(self, name, vcpus, hold_up_ms, more=()):
        self.name, self.vcpus, self.hold_up_ms, self.more = name, vcpus, hold_up_ms, list(more)
        self.count = 0
        self.control_path = os.path.join(host.PLACE, f'{name}.qmp')
        self.temporary = os.path.join(host.PLACE, f'{name}.tmp')

    def command(self, setting, disk):
        path = os.path.join(host.PLACE, f'{self.name}.yaml')
        with open(path, 'w', encoding='utf-8') as out:
            out.write(description(setting, disk, self.vcpus, self.hold_up_ms))
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
