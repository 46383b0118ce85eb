#!/usr/bin/env python3
"""Writes the first inputs of those targets that would take long to find a well-formed one: seeds.py FOLDER.

From them and what fuzzing found, `run --minimize` makes corpus/.
"""

import os
import struct
import subprocess
import sys


def gpt():
    """Four entries, with labels of each kind, and a backup; sealed by the target."""
    def header(my_block):
        return struct.pack('<8sIIIIQQQQ16sQIII', b'EFI PART', 0x10000, 92, 0, 0, my_block, 999, 6, 900, bytes(16), 2, 4, 128, 0)

    def entry(first, last, label):
        return bytes([1] * 16) + bytes(16) + struct.pack('<QQQ', first, last, 0) + label.encode('utf-16-le').ljust(72, b'\0')
    entries = entry(6, 9, 'data') + entry(10, 20, 'gr\u00fc\u00dfe \u20ac') + entry(30, 20, '\U0001f600') + entry(1, 2, 'x' * 36)
    for flags, blocks in ((0x0c, 1000), (0x1c, 1000), (0x0d, 1000), (0x3c, 1000)):
        yield bytes([flags]) + struct.pack('<H', blocks) + b'\0' + header(1) + (header(999) if flags & 16 else b'') + entries
    yield bytes([0x1c]) + struct.pack('<H', 1000) + b'\0' + bytes(92) + header(999) + entries
    yield bytes([0x0c]) + struct.pack('<H', 1000) + b'\x03\x10\x04\0' + header(1) + entries


def image():
    """The valid image as it is, unsealed, short, and some changes."""
    yield b'\x01'
    yield b'\x03'
    yield b'\x05'
    yield b'\x01' + struct.pack('<HBb', 0, 1, 3)
    yield bytes(64)


TREES = ["""
/dts-v1/;
/memreserve/ 0x40100000 0x1000;
/ { #address-cells = <2>; #size-cells = <2>; interrupt-parent = <&gic>; model = "m";
    gic: intc@8000000 { compatible = "arm,gic-v3"; #interrupt-cells = <3>; #address-cells = <2>; reg = <0 0x8000000 0 0x10000>; };
    cpus { #address-cells = <1>; #size-cells = <0>; cpu@0 { reg = <0>; }; cpu@1 { reg = <1>; status = "disabled"; }; };
    soc { compatible = "simple-bus"; #address-cells = <1>; #size-cells = <1>; ranges = <0x0 0x0 0xa0000000 0x10000>;
        u: uart@0 { compatible = "arm,pl011", "arm,primecell"; reg = <0 0x1000>; interrupts = <0 1 4>, <1 2 4>; status = "okay"; };
        uart@1000 { reg = <0x1000 0x1000>; interrupts-extended = <&gic 0 40 1>, <&gic 1 9 4>; }; };
    aliases { serial0 = "/soc/uart@0"; };
    chosen { stdout-path = "serial0:115200n8"; }; };
""", """
/dts-v1/;
/ { #address-cells = <2>; #size-cells = <2>;
    gic: i { compatible = "arm,gic-v3"; #interrupt-cells = <3>; #address-cells = <2>; };
    pcie@1 { compatible = "pci-host-ecam-generic"; #address-cells = <3>; #size-cells = <2>; #interrupt-cells = <1>;
        reg = <0x40 0x10000000 0 0x10000000>;
        ranges = <0x1000000 0 0 0 0x3eff0000 0 0x10000>, <0x2000000 0 0x10000000 0 0x10000000 0 0x2eff0000>;
        interrupt-map-mask = <0x1800 0 0 7>;
        interrupt-map = <0 0 0 1 &gic 0 0 0 3 4>, <0x800 0 0 1 &gic 0 0 0 4 4>; }; };
"""]


TREES.append("""
/dts-v1/;
/memreserve/ 0x40100000 0x1000;
/ { #address-cells = <2>; #size-cells = <2>; model = "m";
    memory@0 { device_type = "memory"; reg = <0 0x40000000 0 0x8000000>, <0xffffffff 0xfffff001 0 0xffe>; };
    reserved-memory { #address-cells = <2>; #size-cells = <2>; ranges; s@0 { reg = <0 0x40200000 0 0x3000>; no-map; }; };
    cpus { #address-cells = <1>; #size-cells = <0>; cpu@0 { device_type = "cpu"; enable-method = "psci"; reg = <0>; };
        cpu@1 { device_type = "cpu"; reg = <1>; }; };
    psci { compatible = "arm,psci-1.0"; method = "smc"; };
    i { compatible = "arm,gic-v3"; #interrupt-cells = <3>; #redistributor-regions = <1>; redistributor-stride = <0 0x20000>;
        reg = <0 0x8000000 0 0x10000>, <0 0x80a0000 0 0x10000>; };
    chosen { linux,initrd-start = <0x44000000>; linux,initrd-end = <0 0x44001000>; }; };
""")


def devicetree():
    for tree in TREES:
        blob = subprocess.run(['dtc', '-q', '-O', 'dtb'], input=tree.encode(), stdout=subprocess.PIPE, check=True).stdout
        for last in (0, 1, 2, 0x43):
            yield blob + bytes([last])


def elf():
    """Three segments, as a component has; then one that is zeroed memory only."""
    for segments in ([(5, 0x400000, 0x20), (4, 0x401000, 0x20), (6, 0x402010, 0x3000)], [(5, 0x400000, 0x10)]):
        header = struct.pack('<16sHHIQQQIHHHHHH', b'\x7fELF\x02\x01\x01', 2, 183, 1, 0x400000, 64, 0, 0, 64, 56, len(segments), 0, 0, 0)
        table = b''.join(struct.pack('<IIQQQQQQ', 1, flags, 240, place, place, min(size, 16), size, 4096)
                         for flags, place, size in segments)
        yield (header + table).ljust(240, b'\0') + bytes(range(16))


DESCRIPTIONS = ["""
system: s
machine: {board: qemu-virt, cpu: cortex-a53, cores: 4, memory: 2 GiB}
power_fail: powerkey
disks: {disk0: {nvme: 0, file: d.img, cache: none}, d1: {}}
vms:
  linux:
    memory: 512 MiB
    vcpus: [1, 2]
    kernel: k
    initrd: i
    command_line: c
    priority: 7
    budget: 20 %
    seed: x
    devices: {core: 1, priority: 3, budget: {time: 2 ms, period: 10 ms}}
    rapilog: {hold_up: 16 ms, reserve: 1 ms, memory: 16 MiB, limit: 1 MiB, core: 0, unsafe_no_drain: true}
    disks:
      - {disk: disk0, label: root, read_only: true, serial: s, buffer: 2 MiB}
      - {disk: disk0, label: wal, filter: rapilog}
      - {disk: d1, write_through: true}
""", """
services: {nvme: {core: 1, priority: 5, budget: 10 %}, console: {}}
shared_memory: {m: 4 KiB}
components:
  a:
    elf: x.elf
    threads: [{core: 1, priority: 2, budget: 5 %}, {}]
    memory: {own: 64 KiB, both: {shared: m, writable: false}}
    channels: {out: b, two: {to: b, thread: 0, as: in}}
    devices: {clock: {compatible: "arm,pl031", instance: 0, interrupt: true}}
    machine: true
    controls: [b]
  b: {threads: 2, core: 1, memory: {x: {shared: m}}, disks: [{disk: d, filter: {rapilog: {hold_up: 1 s}}}]}
disks: {d: {file: "nbd+unix:///?socket=s"}}
vms: {v: {kernel: k, vcpus: 3}}
"""]


MANY_VMS = ', '.join(f'v{i}: {{kernel: k}}' for i in range(40))
MANY_MIB = 'a: {kernel: k, memory: 3 GiB}, b: {kernel: k, memory: 4 GiB, vcpus: [0, 0, 0], budget: 60 %}'
HELD = 'disks: {d: {}, e: {}}\nvms: {v: {kernel: k, rapilog: {hold_up: 1 s, mode: %s}, disks: [%s]}}\n'
TWO = '{disk: d, label: a, filter: rapilog}, {disk: e, label: b, filter: rapilog}'

# What the long ones leave out: the other ways to hear of the mains, modes of RapiLog, kills, and mistakes.
SHORT_DESCRIPTIONS = [
    'power_fail: {gpio: {line: 5, active: low}, off_after: 2 s}\nvms: {v: {kernel: k}}',
    'power_fail: {powerkey: true, gpio: {line: 9, active: up}}',
    'power_fail: {gpio: {active: high}, vm: w}\nvms: {v: {kernel: k}}',
    'power_fail: {interrupt: "acme,power-monitor", vm: v}\nvms: {v: {kernel: k}}',
    'power_fail: {interrupt: {compatible: "acme,p", instance: 1, number: 2}, gpio: 3, vm: vv}\nvms: {v: {kernel: k}}',
    'power_fail: {interrupt: "", vm: v}\n' + HELD % ('held', TWO),
    'power_fail: {interrupt: a-name-that-is-much-longer-than-any-compatible-of-a-device-tree-node-can-be-in-an-image}',
    HELD % ('held ordered, dump: d1', TWO),
    HELD % ('held ordered, dump: {disk: d, label: x}', TWO),
    HELD % ('held ordered, dump: {disk: d, label: a}', TWO),
    HELD % ('held ordered, dump: x', '{disk: d, label: a, filter: rapilog}, {disk: d, label: b}'),
    HELD % ('held ordered', TWO),
    HELD % ('through, dump: ""', TWO),
    HELD % ('sometimes', '{disk: d}, {disk: d}, {disk: d, label: a}, {disk: e, label: a}, {disk: e, label: a}'),
    HELD % ('held', '{disk: d, label: a-label-that-has-more-than-36-characters-in-it, buffer: 1 KiB, filter: {rapilog: {}}}'),
    'vms: {v: {kernel: k, vcpus: [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3], paged: 5 KiB}}',
    'vms: {v: {kernel: k, vcpus: 0, paged: 2 MiB}}',
    'machine: {memory: 256 MiB, cores: 1}\nvms: {' + MANY_MIB + '}',
    'machine: {cores: 1}\ncomponents: {a: {budget: 70 %}, console: {}, b: {threads: [{budget: 80 %}, {core: 3}]}}',
    'disks: {d: {nvme: 0, virtio: 1, timing: {like: hdd, dilation: 0}}, e: {timing: {like: nvme-consumer, dilation: x}}}',
    'test: {kill: {rapilog: {after: 1 s, every: 100 ms, times: 3}, nobody: {when: 1 s}, x: 3}}\ncomponents: {x: {}}',
    'test: {kill: 1}',
    'vms: {v: {kernel: "${QUOLL_TARGET}/k", initrd: "${QUOLL_ROOT}/a/${HOME}/${"}}',
    'components: {a: {disks: [{disk: d}, {disk: d, label: x}]}}\ndisks: {d: {}}',
]


def yaml():
    """The example with everything in it, in two parts; and shorter ones."""
    for text in DESCRIPTIONS:
        yield text.encode()
        for line in range(2, text.count('\n')):
            yield '\n'.join(text.split('\n')[:line]).encode()
    yield b'vms: {a: {kernel: k}}'
    yield b'disks: {d: {timing: {like: nvme-consumer, dilation: 4.5}}}\nvms: {a: {kernel: "${QUOLL_BUILD}/k", disks: [{disk: d}]}}'
    yield b'components: {hello: {machine: true}}'
    for text in SHORT_DESCRIPTIONS:
        yield text.encode()
    for vms in (MANY_VMS, MANY_MIB):
        yield ('vms: {' + vms + '}').encode()
    yield ('shared_memory: {' + ', '.join(f'm{i}: 4 KiB' for i in range(70)) + '}').encode()
    yield ('test: {kill: {' + ', '.join(f'c{i}: {{}}' for i in range(40)) + '}}').encode()
    yield ('vms: {v: {kernel: k, disks: [' + ', '.join(f'{{disk: d, label: l{i}}}' for i in range(20)) + ']}}\ndisks: {d: {}}').encode()
    yield ('vms: {v: {kernel: k, command_line: ' + 'x' * 980 + '}}').encode()


def block():
    """Requests of each kind, answered; more than there is space for; answers after the driver broke its queue; a queue that is lent; and
    a VMM that crashes at each of its first reads."""
    def ask(kind, place, size, sector=1):
        return bytes([4, kind | 0x20, place, size, sector])

    def write(register, value):
        return bytes([2, 0x50, register // 2, value])
    for start in (b'\x83\0\0', b'\x80\0\0', b'\x8b\0\0', b'\xff\0\0'):
        yield start + b''.join(ask(kind | pieces << 3, place << 4 | place, 4) + b'\0\0'
                               for place, (kind, pieces) in enumerate([(0, 1), (1, 2), (2, 0), (3, 1), (7, 0)]))
        yield start + b''.join(ask(0x18, 3 * place << 4 | place, 24) for place in range(5)) + b'\0\0' * 12
    broken = b'\x0e\x04\x63' + b'\x0e\x05'  # a head that does not exist, notified
    for size in (b'\x0e\xc8\x0e\0', b'\x0e\x96\x0e\0\x80\0\0'):
        yield b'\x83\0\0' + ask(0x08, 0, 1) + broken + size + b'\0\0'
    reset, crash = b'\2\x09', b'\x11'
    for kind in (2, 3):  # 256 times the same chain
        yield b'\3\x08\0' + ask(kind, 0, 1) + b'\x29\0\xff' + b'\0\0' * 4 + crash + b'\x29\0\xff' + reset
    yield b'\3\0\0' + b'\2\3\0\0\0\x40\0\1' + b'\2\4\0\2\5'  # a chain of nothing that bites its tail
    yield b'\3\0\0' + reset + write(0x70, 3) + write(0x80, 1) + write(0x38, 4) + write(0x44, 1)
    yield b'\3\0\0' + b''.join(b'\2\1' + struct.pack('<H', register) + b'\2\x65' + struct.pack('<H', register)
                               for register in (0x34, 0x60, 0xb0, 0xfc, 0x100)) + b'\x21\0\x21\1\x21\2'
    for act in range(8):
        for after in (reset, crash + reset, b'\x09' + crash, b'\2\5' + crash + b'\x39'):
            yield b'\3\1\0' + b'\x31' + bytes([act]) + after + b'\x39' + b'\x31\0' + crash
            yield b'\3\3\0' + b'\x31' + bytes([act]) + b'\1\x44\x80\4\1\0\0\0' + after
    for reads in range(1, 60):
        asks = b''.join(ask(kind, place, 3) for place, kind in enumerate((0x08, 0x11, 2, 3, 0x19)))
        yield b'\3\4\0' + b'\x19' + bytes([reads]) + asks + b'\0\0' * 5 + crash + asks + b'\0\1\0\0'


def guest_queue():
    """Requests of each kind, in one piece and through indirect tables; chains that no driver makes; and a RapiLog that crashes at each
    of its first reads."""
    def ask(kind, place, size, take=8):
        return bytes([5 | take, kind, place, size])
    set_up, take, tell, crash, answers = b'\x09\x1f', b'\7', b'\4', b'\x17', b'\0\x40' * 6
    kinds = (0x08, 0x11, 2, 3, 0x30, 0x49, 0x79)
    asks = b''.join(ask(kind, place, place) for place, kind in enumerate(kinds))
    for choice in (4, 5, 0, 6, 12, 14, 30, 255):
        yield bytes([choice, 0]) + set_up + asks + answers + tell + crash + asks + b'\x47' + answers + tell
        yield bytes([choice, 0]) + set_up + asks + set_up + answers + crash + tell
    for kind in (2, 3):  # 256 times the same chain
        yield b'\4\0' + set_up + ask(kind, 0, 1) + b'\x27\0\xff' + take + b'\x27\0\xff' + take + answers + tell + crash
    nothing = b'\3\0\0\x08' + struct.pack('<Q', 1 << 30) + b'\3\x08\0\x08' + struct.pack('<IHH', 0, 1, 0)  # and it bites its tail
    yield b'\4\0' + set_up + nothing + b'\x27\0\0' + take
    for reads in range(1, 90):
        for choice in (12, 14):
            yield bytes([choice, 0]) + set_up + b'\x37' + bytes([reads]) + asks + answers + crash + answers + set_up + asks


def rapilog():
    """Writes, reads and flushes with each kind of buffer, the mains lost, and back; a disk that refuses now and then."""
    writes = b''.join(bytes([5, 0x39, 8 * block]) for block in range(8))
    others = bytes([5, 0x3a, 4, 5, 7, 0, 5, 0x39, 12, 5, 0x11, 3])
    lost, back, drain, late, refuse = b'\xfa\0', b'\xea\0', b'\xf2\0', b'\xfc', b'\xe2\0'
    for kind in range(4):
        for choice in (0x04, 0x34, 0x14, 0x0c, 0, 0x06):
            start = bytes([kind << 6 | choice, 0])
            for end in (lost, lost + b'\0\0' * 3 + back + writes, drain, refuse):
                yield start + writes + others + b'\0\0' * 9 + writes + end + b'\0\0' * 4 + others
        for refused in range(0, 40, 2):
            yield bytes([kind << 6 | 6, 0]) + writes + others + b'\0\0' * refused + b'\0\x80' + b'\0\0' * 4 + late + b'\0\0' * 9 + lost
        yield bytes([kind << 6 | 6, 0]) + writes + b'\2\4' + others + b'\0\0' * 9 + b'\2\4' + late + others + b'\2\0\2\2'


def link():
    """Sessions as they go: requests answered, a server and a client that begin anew, a ring that fills up, a server that fails."""
    def works(what):  # client_works, and server_works, which has 2 bits
        return bytes([what << 3 | 6])

    def lives(what, *more):
        return bytes([what << 3 | 2, *more])

    opened = works(0) + lives(0) + works(0)
    for server in (opened, lives(4) + opened, lives(4 | 16) + opened):
        yield b'\0\0' + server + works(1) * 2 + works(4) + lives(5, 0) + lives(5 | 24, 1) + lives(5, 200) + works(3) * 3 + works(5)
        yield b'\0\0' + server + works(1) * 3 + lives(2) + works(0) + works(1) + works(4) + lives(0) + works(0) + works(3) + works(5)
        yield b'\0\0' + server + works(1) + lives(2) + works(0) + lives(4 | 8) + lives(0) + works(0) + works(1)
        yield b'\0\0' + server + works(1) * 140 + works(4) + works(7)
        yield b'\0\0' + server + works(7) + bytes([0x1d, 9, 0x05, 0]) + works(7) + b'\x02\x1b' + works(0)
    yield b'\0\0' + works(6) + b'\0\0' + works(7) + b'\5\0'
    yield b'\0\0' + lives(3 | 16) + works(0) + works(7) + works(1)
    put = b'\1' + bytes([0, 1, 0, 0])  # client_puts: a read of no sectors; the second: a good one
    good = b'\1' + bytes([4, 1, 0, 0])
    for choice in (b'\1\0', b'\x3f\0', b'\x21\0', b'\x41\0'):
        yield choice + put + good * 3 + works(0) * 4 + works(1) * 2 + works(2)
        yield choice + works(2) + b'\x0d' + works(0) + works(2) + good * 2 + works(0) * 2 + b'\x15' + works(0) + works(2) + works(1) * 2 + works(0) + works(2)
        yield choice + b'\x45' + works(0) + works(2) + good * 2 + works(0) * 2 + b'\x0d' + works(1) + works(2) + works(1) + works(0)
        yield choice + good * 130 + works(0) * 130
        yield choice + b'\xff' + good + works(0)


def loader():
    """A kernel that fits, one that does not, and what else people take for a kernel."""
    for ram, offset, size, flags in ((16, 0, 0x1000, 0), (16, 0x80000, 0, 0), (4, 0, 1 << 40, 0), (16, 0, 0x1000, 1), (2, 0, 0x1000, 0)):
        header = struct.pack('<IIQQQQQQ4sI', 0, 0, offset, size, flags, 0, 0, 0, b'ARM\x64', 0)
        yield bytes([ram]) + b'\x10\0' + header + b'code'
    for begin in (b'\x1f\x8b', b'MZ\0\0zimg', b'\x7fELF', b'', bytes(0x202) + b'HdrS'):
        yield b'\x10\0\0' + begin + (bytes(64) if begin else b'')


SEEDS = {'link': link, 'loader': loader, 'block': block, 'guest_queue': guest_queue, 'rapilog': rapilog, 'gpt': gpt, 'image': image,
         'devicetree': devicetree, 'elf': elf, 'yaml': yaml}


def main(folder):
    for name, make in SEEDS.items():
        os.makedirs(os.path.join(folder, name), exist_ok=True)
        for number, content in enumerate(make()):
            with open(os.path.join(folder, name, f'seed-{number}'), 'wb') as file:
                file.write(content)


if __name__ == '__main__':
    main(sys.argv[1])
