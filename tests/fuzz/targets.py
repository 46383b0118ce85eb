"""The fuzz targets: what each is made of. `own` are the files whose lines it must cover."""

import os
import re
from dataclasses import dataclass, field

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@dataclass
class Target:
    own: list                                  # product files under test, measured
    parts: list = field(default_factory=list)  # other files, of the product or of the tests
    include: list = field(default_factory=list)
    flags: list = field(default_factory=list)
    libraries: list = field(default_factory=list)
    hostile: bool = False                      # memory changes between any two reads (hostile.h)
    longest: int = 512                         # bytes of an input
    file: bool = False                         # a file format: AFL++ as well
    runs: int = 40000                          # of the quick form: a second or two


def listed(folder, without):
    """The sources that a folder's meson.build names, so that a new file there needs no word here."""
    with open(os.path.join(ROOT, folder, 'meson.build'), encoding='utf-8') as file:
        names = re.findall(r"'([\w./]+\.c)'", file.read())
    places = [os.path.normpath(os.path.join(folder, name)) for name in names]
    return [place for place in places if place not in without and not re.search(r'/(main|command_\w+|rapilog)\.c$', place)]


VMM = 'vmm/'
IMAGE = ['kernel/image.c', 'kernel/image_components.c', 'kernel/image_memory.c', 'kernel/image_vms.c']
YAML = ['tool/document.c', 'tool/description.c', 'tool/description_check.c', 'tool/description_component.c',
        'tool/description_power.c', 'tool/description_vm.c']
RAPILOG = ['services/rapilog/requests.c', 'services/rapilog/drain.c']
GUEST_QUEUES = ['services/rapilog/guest_queue.c', VMM + 'virtio/block_queue.c', VMM + 'virtio/queue.c']
# Not in the target `rapilog`: its client comes over the link, and this machine is not an Arm.
ELSEWHERE = [*GUEST_QUEUES, 'services/rapilog/aarch64/checksum.c']
MODELS = [VMM + 'virtio/mmio.c', VMM + 'virtio/queue.c', VMM + 'vgic.c']

TARGETS = {
    'gpt': Target(own=['services/volume/gpt.c', 'services/volume/table.c'], parts=['tests/fuzz/calls.c'],
                  include=['services/volume'], libraries=['-lz'], hostile=True, longest=2048, file=True),
    'image': Target(own=IMAGE, parts=['lib/common/text.c', 'tests/unit/kernel/system_image.c'],
                    include=['kernel', 'tests/unit/kernel'], libraries=['-lz'], longest=400, runs=60000, file=True),
    'devicetree': Target(own=['kernel/devicetree.c', 'kernel/machine.c'], parts=['lib/common/text.c', 'tests/fuzz/hostile.c'], include=['kernel'], longest=2048, file=True),
    'elf': Target(own=['tool/elf_file.c'], parts=['tool/report.c'], include=['tool'], flags=['-D_GNU_SOURCE'],
                  longest=1024, runs=200000, file=True),
    'yaml': Target(own=YAML, parts=listed('tool', YAML), include=['tool'],
                   flags=['-D_GNU_SOURCE', '-DQUOLL_VERSION="fuzz"'], libraries=['-lyaml', '-lz'], longest=1024, runs=20000,
                   file=True),
    'block': Target(own=[VMM + 'virtio/block.c', VMM + 'virtio/block_queue.c', VMM + 'virtio/mmio.c', VMM + 'virtio/queue.c'],
                    parts=[VMM + 'vgic.c', 'lib/common/block.c', 'lib/common/ring.c', 'tests/fuzz/driver.c',
                           'tests/fuzz/calls.c'],
                    include=['vmm'], hostile=True, longest=256, runs=12000),
    'console': Target(own=[VMM + 'virtio/console.c', VMM + 'console_hub.c'],
                      parts=[*MODELS, 'lib/common/ring.c', 'lib/common/stream.c', 'tests/fuzz/driver.c', 'tests/fuzz/calls.c'],
                      include=['vmm'], hostile=True, longest=256, runs=20000),
    'entropy': Target(own=[VMM + 'virtio/entropy.c'],
                      parts=[*MODELS, 'tests/fuzz/driver.c', 'tests/fuzz/calls.c'], include=['vmm'], hostile=True, longest=128,
                      runs=80000),
    'mmio': Target(own=[VMM + 'devices.c', VMM + 'pl011.c', VMM + 'pl031.c'],
                   parts=[*MODELS, VMM + 'virtio/block.c', VMM + 'virtio/block_queue.c', VMM + 'virtio/console.c',
                          VMM + 'virtio/entropy.c', VMM + 'virtio/monitor.c', VMM + 'console_hub.c', VMM + 'random.c', 'lib/common/block.c', 'lib/common/ring.c', 'lib/common/stream.c',
                          VMM + 'device_tree.c', VMM + 'survival.c', 'tests/fuzz/calls.c'],
                   include=['vmm'], hostile=True, longest=256, runs=60000),
    'vgic': Target(own=[VMM + 'vgic.c', 'kernel/arch/aarch64/vgic_choose.c', 'kernel/arch/aarch64/id_view.c'],
                   parts=['tests/fuzz/calls.c'], include=['vmm', 'kernel/arch/aarch64'], longest=256, runs=60000),
    'ring': Target(own=['lib/common/ring.c', 'lib/common/stream.c'], parts=['tests/fuzz/calls.c'], hostile=True, longest=256, runs=80000),
    'link': Target(own=['lib/common/block.c'], parts=['lib/common/ring.c', 'tests/fuzz/calls.c'], hostile=True, longest=256, runs=80000),
    'frames': Target(own=['services/console/frame.c', 'tool/frames.c'], include=['services/console', 'tool'],
                     longest=256, runs=80000),
    'rapilog': Target(own=RAPILOG, parts=[*listed('services/rapilog', [*RAPILOG, *ELSEWHERE]), 'services/rapilog/checksum.c',
                                          'lib/common/block.c', 'lib/common/ring.c', 'tests/fuzz/calls.c'],
                      include=['services/rapilog'], hostile=True, longest=256, runs=6000),
    'guest_queue': Target(own=GUEST_QUEUES, parts=['tests/fuzz/calls.c'], include=['services/rapilog', 'vmm'], hostile=True,
                          longest=256, runs=20000),
    'nvme': Target(own=['drivers/nvme/controller.c', 'drivers/nvme/queue.c', 'drivers/nvme/transfer.c'],
                   parts=['tests/fuzz/calls.c'], include=['drivers/nvme', 'drivers/disk/host'],
                   hostile=True, longest=256, runs=80000),
    'virtio_blk': Target(own=['drivers/virtio_blk/commands.c', 'drivers/virtio_blk/device.c'], parts=['tests/fuzz/calls.c'],
                         include=['drivers/virtio_blk', 'drivers/disk', 'drivers/disk/host'], hostile=True, longest=256),
    'loader': Target(own=[VMM + 'loader.c', VMM + 'machine.c', VMM + 'device_tree.c'],
                     parts=[VMM + 'arch/host/cache.c', VMM + 'pl011.c', VMM + 'pl031.c', VMM + 'vgic.c', VMM + 'console_hub.c',
                            'lib/common/ring.c', 'lib/common/stream.c', 'tests/fuzz/hostile.c', 'tests/fuzz/calls.c'],
                     include=['vmm'], longest=1024, runs=200000, file=True),
    'pci': Target(own=['drivers/pci/pci.c'], parts=['tests/fuzz/calls.c'], include=['drivers/pci'], hostile=True, longest=256),
    'volume': Target(own=['services/volume/volume.c'],
                     parts=['services/volume/gpt.c', 'services/volume/table.c', 'lib/common/block.c', 'lib/common/ring.c',
                            'tests/fuzz/calls.c'],
                     include=['services/volume'], hostile=True, longest=256),
    'psci': Target(own=[VMM + 'psci.c', VMM + 'random.c'], include=['vmm'], longest=256, runs=80000),
}
