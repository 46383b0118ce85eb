/*
 * A hostile guest's firmware calls, from all of its vCPUs.
 *
 * What must hold: a vCPU's power state moves only along OFF, PENDING, ON, OFF; a vCPU starts only where its RAM is, once for each
 * CPU_ON that succeeded; calls of functions that do not exist change nothing; TRNG gives as many bits as asked for.
 *
 * Input: byte 0: vCPUs; then steps: choice, arguments.
 */
#include "input.h"
#include "psci.h"

#define RAM_BASE UINT64_C(0x40000000)
#define RAM_SIZE UINT64_C(0x8000000)

static struct power power;
static struct random generator;

static const uint32_t functions[] = {
    0x80000000, 0x80000001, 0x84000000, 0x84000001, 0xc4000001, 0x84000002, 0x84000003,
    0xc4000003, 0x84000004, 0xc4000004, 0x84000006, 0x84000008, 0x84000009, 0x8400000a,
    0x84000012, 0xc4000012, 0x84000050, 0x84000051, 0x84000052, 0x84000053, 0xc4000053};
#define FUNCTIONS (sizeof(functions) / sizeof(functions[0]))

static uint64_t take_value(struct input *input, uint8_t kind)
{
    switch (kind & 7) {
    case 0:
        return input_8(input) % 20;
    case 1:
        return RAM_BASE + input_32(input) % (RAM_SIZE + 64);
    case 2:
        return functions[input_8(input) % FUNCTIONS];
    case 3:
        return input_64(input);
    case 4:
        return RAM_BASE - 64 + input_8(input);
    case 5:
        return RAM_BASE + RAM_SIZE - 64 + input_8(input);
    default:
        return input_8(input);
    }
}

static void check_started(const struct psci_answer *answer, const struct power *before,
                          const uint64_t *asked, const uint64_t *x)
{
    for (uint32_t i = 0; i < QUOLL_MAX_VCPUS_PER_VM; i++) {
        uint32_t from = before->vcpu[i].state, to = power.vcpu[i].state;
        bool started = from == POWER_OFF && to == POWER_PENDING;
        HOLDS(from == to || started || (from == POWER_ON && to == POWER_OFF));
        HOLDS(started == (answer->effect == PSCI_STARTED && answer->target == i));
        HOLDS(i < power.vcpu_count || to == POWER_OFF);
        if (!started)
            continue;
        uint64_t offset = power.vcpu[i].entry - RAM_BASE;
        HOLDS(offset < RAM_SIZE && power.vcpu[i].entry % 4 == 0);
        HOLDS(power.vcpu[i].entry == asked[2] && power.vcpu[i].context == asked[3] && x[0] == 0);
    }
}

static void check_random(const uint64_t *asked, const uint64_t *x)
{
    bool wide = asked[0] == 0xc4000053;
    uint32_t width = wide ? 64 : 32;
    if ((uint32_t)asked[0] != (wide ? 0xc4000053 : 0x84000053) || x[0] != 0)
        return;
    HOLDS(asked[1] != 0 && asked[1] <= 3 * width);
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t left = asked[1] > i * width ? asked[1] - i * width : 0;
        uint64_t bits = left < width ? left : width;
        HOLDS(bits == 64 || x[3 - i] >> bits == 0);
    }
}

static void call(struct input *input, uint32_t self)
{
    uint64_t x[4], asked[4];
    uint8_t choice = input_8(input), kinds = input_8(input);
    x[0] = choice < 0xf0 ? functions[choice % FUNCTIONS] : take_value(input, 3);
    x[1] = take_value(input, kinds);
    x[2] = take_value(input, kinds >> 3);
    x[3] = take_value(input, kinds >> 6);
    memcpy(asked, x, sizeof(x));
    for (uint32_t i = 1; i < 4 && !(x[0] & 0x40000000); i++)
        asked[i] &= UINT32_MAX; /* a 32-bit call */
    struct power before = power;
    struct psci_answer answer = psci_call(&power, &generator, self, x);
    check_started(&answer, &before, asked, x);
    HOLDS((answer.effect == PSCI_STOPPED) ==
          (before.vcpu[self].state == POWER_ON && power.vcpu[self].state == POWER_OFF));
    check_random(asked, x);
}

static void take_start(uint32_t vcpu)
{
    uint64_t entry, context;
    bool was_pending = power.vcpu[vcpu].state == POWER_PENDING;
    HOLDS(power_take(&power, vcpu, &entry, &context) == was_pending);
    HOLDS(!power_take(&power, vcpu, &entry, &context));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = input_of(bytes, size);
    memset(&power, 0, sizeof(power));
    memset(&generator, 0, sizeof(generator));
    random_absorb(&generator, bytes, size < 64 ? size : 64);
    power.vcpu_count = input_8(&input) % QUOLL_MAX_VCPUS_PER_VM + 1;
    power.ram_base = RAM_BASE;
    power.ram_size = RAM_SIZE;
    HOLDS(power_start(&power, 0, RAM_BASE, 1) == POWER_OFF);
    take_start(0);
    while (input_more(&input)) {
        uint8_t choice = input_8(&input);
        uint32_t vcpu = (choice >> 2) % power.vcpu_count;
        if ((choice & 3) == 0)
            take_start(vcpu);
        else if (choice == 0xff)
            power_reset(&power);
        else if (power.vcpu[vcpu].state == POWER_ON)
            call(&input, vcpu);
    }
    return 0;
}
