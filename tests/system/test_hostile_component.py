#!/usr/bin/env python3
"""Components that make random calls, commit every kind of fault or never stop: each is answered or stopped with its reason, and a witness goes on."""
import rig

# What each instance of tests/components/hostile.c is named after, and what the kernel says of it.
UNMAPPED_READ = 'read from an address that is not mapped'
UNMAPPED_WRITE = 'wrote to an address that is not mapped'
READ_ONLY = 'wrote to memory it may only read'
NO_EXECUTE = 'executed at an address it may not execute'
UNDEFINED = 'executed an undefined instruction'
REGISTER = 'used a system register it may not use'
FAULTS = {
    'null-read': UNMAPPED_READ,
    'null-write': UNMAPPED_WRITE,
    'null-call': NO_EXECUTE,
    'write-text': READ_ONLY,
    'write-const': READ_ONLY,
    'write-envir': READ_ONLY,
    'run-data': NO_EXECUTE,
    'read-kernel': UNMAPPED_READ,
    'read-gic': UNMAPPED_READ,
    'read-high': UNMAPPED_READ,
    'read-beyond': UNMAPPED_READ,
    'unaligned': 'unaligned access',
    'undefined': UNDEFINED,
    'float': UNDEFINED,  # with HCR_EL2.TGE, what CPACR_EL1 forbids is reported so
    'write-vbar': UNDEFINED,
    'write-hcr': UNDEFINED,
    'write-icc': UNDEFINED,
    'write-timer': REGISTER,
    'mask-irqs': REGISTER,
    'smc': UNDEFINED,
    'hvc': UNDEFINED,
    'eret': UNDEFINED,
    'stack': UNMAPPED_WRITE,
    'tlbi': UNDEFINED,
    'brk': 'stopped itself',
    'bad-pc': 'jumped to an unaligned address',
}

SYSTEM = '''
system: hostile
machine: {cores: 2}
shared_memory: {board: 4 KiB}
components:
  witness: {elf: hostile, core: 1, machine: true, memory: {board: {shared: board}}}
  storm0: {elf: hostile, core: 0, memory: {board: {shared: board}}, channels: {signal: witness}, controls: [victim]}
  storm1: {elf: hostile, core: 1, memory: {board: {shared: board}}, channels: {signal: witness}, controls: [victim]}
  spin: {elf: hostile, core: 1, priority: 200, budget: 10 %}
  victim: {elf: hostile, core: 0, priority: 10}
'''


def run(names):
    faulty = [f'  {name}: {{elf: hostile, core: {number % 2}}}' for number, name in enumerate(names)]
    return rig.run(SYSTEM + '\n'.join(faulty) + '\n', timeout=100)


def test():
    names = list(FAULTS)
    for part in (names[0::2], names[1::2]):
        result = run(part).expect_status(0).expect_log('turns, storms done')
        for name in part:
            result.expect_log(f"quoll: component '{name}' stopped: {FAULTS[name]}")
        for number in range(2):
            result.expect_log(f'storm{number}: registers and memory are intact')
        others = [text for text in ('nothing stopped', 'the kernel itself failed', "'witness' stopped", "'storm")
                  if text in result.log]
        rig.check(not others, f'the log has {others}\n{result.show()}')


rig.main(test)
