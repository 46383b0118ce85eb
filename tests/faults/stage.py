"""One round's system: the disk, the description of what runs on it, and the machine that is up at the moment."""

import os
import shutil
import time

import disk as disks
import host
import inflict
import machine

TOOL = os.environ.get('QUOLL_TOOL', os.path.join(host.BUILD, 'host', 'tool', 'quoll'))
LONGEST_LOAD = 5  # seconds
TIME_LIMIT = 1200  # seconds of one machine, more than all that is waited for; a rig that was killed leaves none behind for longer

DESCRIPTION = '''# Written by tests/faults/stage.py.
system: torture
machine: {{cores: 3, memory: {machine_memory}}}
power_fail: {power}
disks:
  disk0: {{{driver}file: "nbd+unix:///?socket={socket}"}}
vms:
  guest:
    memory: {memory}
    vcpus: {vcpus}
    kernel: {kernel}
    initrd: {initrd}
    command_line: {command_line}
{rapilog}    disks:
{volumes}{test}'''

# How much slower than real the disks are: so slow that the drain is further behind than the witness, which hears of an
# acknowledgement some tenths of a second late; otherwise nothing that was seen could be lost, whatever RapiLog did.
DILATION = {'7200rpm': 4, 'consumer-ssd': 24, 'plp-nvme': 48, 'memory': 1}


class Stage:
    """`setting` names what was chosen for this round: see plan.py."""

    def __init__(self, setting, workload, folder):
        self.setting, self.workload, self.folder = setting, workload, folder
        self.image = os.path.join(folder, 'disk.raw')
        self.disk = self.machine = None
        self.boots = 0

    def open(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(os.path.join(self.folder, 'tmp'))
        self.workload.make_disk(self.image)
        setting = self.setting
        self.disk = disks.ModelledDisk(self.image, setting.disk, DILATION[setting.disk] / self.workload.haste,
                                       setting.seed,
                                       ['cut=tears', f'survive={setting.survive}', f'flush={setting.flush}',
                                        'failed-flush=' + ('drops' if self.is_all_filtered() else 'keeps')])
        self.boot()

    def rapilog(self):
        if self.setting.mode == 'plain':
            return ''
        text = f'    rapilog:\n      mode: {self.setting.mode}\n      hold_up: {self.setting.hold_up} ms\n'
        text += f'      memory: {self.setting.memory} MiB\n'
        if self.setting.dump:
            text += '      dump: dump\n'
        if inflict.FAULTS[self.setting.fault].victim == 'rapilog':
            text += '      restart: true\n'
        if self.setting.no_drain:
            text += '      unsafe_no_drain: true\n'
        return text

    def volumes(self):
        filtered = self.workload.filtered(self.setting.mode)
        return ''.join(f'      - {{disk: disk0, label: {label}{", filter: rapilog" if label in filtered else ""}}}\n'
                       for label in self.workload.volumes)

    def is_all_filtered(self):
        return self.setting.mode != 'plain' and self.workload.filtered(self.setting.mode) == self.workload.volumes

    def mends(self):
        """Whether the guest has e2fsck for a file system that it cannot mount. A write that the disk refuses is torn, and with it the
        superblock, if that was in it. RapiLog writes again what it had acknowledged, so that can only be where a write goes to the
        disk past it, or is acknowledged by the disk. Everywhere else, mending would hide a loss."""
        setting, workload = self.setting, self.workload
        to_the_disk = setting.mode == 'through' or not self.is_all_filtered()
        return workload.has_file_system and setting.fault.startswith('disk') and to_the_disk

    def victim(self):
        """The component that the supervisor kills, as the log names it."""
        return {None: None, 'driver': f'{self.setting.driver}.disk0', 'volume': 'volume.disk0', 'vmm': 'vmm.guest',
                'rapilog': 'rapilog.guest'}[inflict.FAULTS[self.setting.fault].victim]

    def kills(self):
        if not self.victim():
            return ''
        text = '    restart: true\n' if self.victim() == 'vmm.guest' else ''
        return text + (f'test: {{kill: {{{self.victim()}: {{after: {self.setting.kill_after} ms, '
                       f'every: {self.setting.kill_every} ms, times: 100000}}}}}}\n')

    def count_log(self, text):
        with open(self.logs()[-1], encoding='utf-8', errors='replace') as log:
            return log.read().count(text)

    def description(self):
        setting = self.setting
        power = 'powerkey'
        if inflict.FAULTS[setting.fault].waits:
            power = f'{{powerkey: true, off_after: {inflict.OFF_AFTER} s}}'
        return DESCRIPTION.format(
            power=power, driver='virtio: 0, ' if setting.driver == 'virtio' else '', socket=self.disk.socket_path,
            machine_memory=self.workload.machine_memory, memory=self.workload.memory, vcpus=setting.vcpus,
            kernel=self.workload.kernel(), initrd=self.workload.initrd(self.mends()),
            command_line=self.workload.command_line,
            rapilog=self.rapilog(), volumes=self.volumes(), test=self.kills())

    def boot(self):
        """A machine whose guest is waiting for orders."""
        self.boots += 1
        path, control = os.path.join(self.folder, 'system.yaml'), os.path.join(self.folder, 'qmp')
        with open(path, 'w', encoding='utf-8') as out:
            out.write(self.description())
        name = f'{os.path.basename(self.folder)}-{self.boots}'
        self.machine = machine.Machine([TOOL, 'run', '--timeout', str(TIME_LIMIT), '--qmp', control, path], name, control,
                                       dict(os.environ, TMPDIR=os.path.join(self.folder, 'tmp')))
        self.wait_ready()

    def wait_ready(self):
        self.machine.wait_ready(120)
        self.workload.made_ready(self.machine)

    def wait_ready_again(self):
        """The guest boots again. What comes from now on proves nothing, so the disk need not be slow."""
        self.disk.hurry()
        self.wait_ready()

    def hold_up_seconds(self):
        return self.setting.hold_up / 1000

    def power_key(self):
        self.machine.power_key()

    def mains_off(self):
        """The machine and the disk are without power from one moment to the next."""
        self.disk.cut()
        if self.machine:
            self.machine.kill()
        self.machine = None

    def mains_on(self):
        self.disk.restore()
        self.disk.hurry()
        self.boot()

    def switch_off(self):
        """The guest powers off, the machine with it; then the disk loses power too, with whatever it had not been told to
        flush."""
        try:
            self.machine.tell('off')
            status = self.machine.wait_end(120)
        finally:
            self.mains_off()
        if status != 0:
            raise host.Failure(f'the machine ended with status {status} after a power-off')

    def close(self, keep):
        """The disk that is kept is as a loss of power at this moment leaves it."""
        if self.disk and keep:
            try:
                self.disk.cut()
            except (OSError, host.Failure) as problem:
                host.say(f'{self.image} is kept with what its cache held: {problem}')
        if self.machine:
            self.machine.kill()
        if self.disk:
            self.disk.stop()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def logs(self):
        place = os.path.join(host.PLACE, 'log')
        return [os.path.join(place, f'{os.path.basename(self.folder)}-{boot}.{end}')
                for boot in range(1, self.boots + 1) for end in ('log', 'err')]


def wait_for_load(stage, random, patience=60):
    """Until every writer has had something acknowledged, and then for a random number of operations more, or some seconds."""
    until = time.monotonic() + patience
    while not stage.workload.is_loaded(stage.machine.witness.seen()):
        if time.monotonic() > until or not stage.machine.running():
            raise host.Failure(f'the witness saw no acknowledged operation of every writer for {patience} s; '
                               f'the console is in {stage.machine.log_path}')
        time.sleep(0.01)
    target = stage.machine.witness.total() + random.randint(*stage.workload.operations)
    until = time.monotonic() + LONGEST_LOAD
    while stage.machine.witness.total() < target and time.monotonic() < until:
        time.sleep(0.01)
