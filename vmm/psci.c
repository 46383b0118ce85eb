/* PSCI, SMCCC and TRNG; the contract is in psci.h. */
#include "psci.h"

#define CALL_64BIT 0x40000000u

enum call_function { /* 32-bit numbers */
                     SMCCC_VERSION = 0x80000000,
                     SMCCC_ARCH_FEATURES = 0x80000001,
                     PSCI_VERSION = 0x84000000,
                     PSCI_CPU_SUSPEND = 0x84000001,
                     PSCI_CPU_OFF = 0x84000002,
                     PSCI_CPU_ON = 0x84000003,
                     PSCI_AFFINITY_INFO = 0x84000004,
                     PSCI_MIGRATE_INFO_TYPE = 0x84000006,
                     PSCI_SYSTEM_OFF = 0x84000008,
                     PSCI_SYSTEM_RESET = 0x84000009,
                     PSCI_FEATURES = 0x8400000a,
                     PSCI_SYSTEM_RESET2 = 0x84000012,
                     TRNG_VERSION = 0x84000050,
                     TRNG_FEATURES = 0x84000051,
                     TRNG_GET_UUID = 0x84000052,
                     TRNG_RND = 0x84000053,
};

enum psci_result { /* DEN 0022, 5.2.2 */
                   SUCCESS = 0,
                   NOT_SUPPORTED = -1,
                   INVALID_PARAMETERS = -2,
                   DENIED = -3,
                   ALREADY_ON = -4,
                   ON_PENDING = -5,
                   INVALID_ADDRESS = -9,
};

enum trng_result { TRNG_INVALID_PARAMETERS = -2 };

#define VERSION_1_1 0x10001
#define TRNG_VERSION_1_0 0x10000
#define MIGRATE_NOT_REQUIRED 2
#define SUSPEND_POWER_DOWN 0x10000u /* power_state: StateType */
#define AFFINITY_ON 0
#define AFFINITY_OFF 1
#define AFFINITY_ON_PENDING 2

void power_reset(struct power *power)
{
    for (uint32_t i = 0; i < QUOLL_MAX_VCPUS_PER_VM; i++)
        __atomic_store_n(&power->vcpu[i].state, POWER_OFF, __ATOMIC_SEQ_CST);
}

/* The state that was there: `from` when it has become `to`. What is answered must follow from this one look. */
static uint32_t try_move(struct power *power, uint32_t vcpu, uint32_t from, enum power_state to)
{
    (void)__atomic_compare_exchange_n(&power->vcpu[vcpu].state, &from, (uint32_t)to, false,
                                      __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return from;
}

static bool move(struct power *power, uint32_t vcpu, enum power_state from, enum power_state to)
{
    return try_move(power, vcpu, from, to) == from;
}

uint32_t power_start(struct power *power, uint32_t vcpu, uint64_t entry, uint64_t context)
{
    uint32_t before = try_move(power, vcpu, POWER_OFF, POWER_CLAIMED);
    if (before != POWER_OFF)
        return before;
    power->vcpu[vcpu].entry = entry;
    power->vcpu[vcpu].context = context;
    (void)move(power, vcpu, POWER_CLAIMED, POWER_PENDING);
    return POWER_OFF;
}

bool power_take(struct power *power, uint32_t vcpu, uint64_t *entry, uint64_t *context)
{
    if (!move(power, vcpu, POWER_PENDING, POWER_ON))
        return false;
    *entry = power->vcpu[vcpu].entry;
    *context = power->vcpu[vcpu].context;
    return true;
}

static uint64_t result(int64_t value)
{
    return (uint64_t)value;
}

static struct psci_answer cpu_on(struct power *power, uint64_t *x)
{
    struct psci_answer answer = {PSCI_CONTINUE, 0};
    uint64_t target = x[1], entry = x[2], context = x[3];
    if (target >= power->vcpu_count) {
        x[0] = result(INVALID_PARAMETERS);
    } else if (entry % 4 != 0 || entry - power->ram_base >= power->ram_size) {
        x[0] = result(INVALID_ADDRESS);
    } else {
        uint32_t before = power_start(power, (uint32_t)target, entry, context);
        if (before == POWER_OFF) {
            x[0] = SUCCESS;
            answer = (struct psci_answer){PSCI_STARTED, (uint32_t)target};
        } else {
            x[0] = result(before == POWER_ON ? ALREADY_ON : ON_PENDING);
        }
    }
    return answer;
}

static uint64_t affinity_info(const struct power *power, uint64_t target, uint64_t level)
{
    if (target >= power->vcpu_count || level != 0)
        return result(INVALID_PARAMETERS);
    switch (__atomic_load_n(&power->vcpu[target].state, __ATOMIC_SEQ_CST)) {
    case POWER_OFF:
        return AFFINITY_OFF;
    case POWER_ON:
        return AFFINITY_ON;
    default:
        return AFFINITY_ON_PENDING;
    }
}

static uint64_t features(uint32_t function)
{
    switch (function) {
    case PSCI_VERSION:
    case PSCI_CPU_SUSPEND:
    case PSCI_CPU_SUSPEND | CALL_64BIT:
    case PSCI_CPU_OFF:
    case PSCI_CPU_ON:
    case PSCI_CPU_ON | CALL_64BIT:
    case PSCI_AFFINITY_INFO:
    case PSCI_AFFINITY_INFO | CALL_64BIT:
    case PSCI_MIGRATE_INFO_TYPE:
    case PSCI_SYSTEM_OFF:
    case PSCI_SYSTEM_RESET:
    case PSCI_SYSTEM_RESET2:
    case PSCI_SYSTEM_RESET2 | CALL_64BIT:
    case PSCI_FEATURES:
    case SMCCC_VERSION:
        return SUCCESS;
    default:
        return result(NOT_SUPPORTED);
    }
}

static uint64_t trng_features(uint32_t function)
{
    switch (function) {
    case TRNG_VERSION:
    case TRNG_FEATURES:
    case TRNG_GET_UUID:
    case TRNG_RND:
    case TRNG_RND | CALL_64BIT:
        return SUCCESS;
    default:
        return result(NOT_SUPPORTED);
    }
}

/* x[1]: how many bits; they come in x[1] (highest), x[2], x[3], unused ones zero. */
static void trng_random(struct random *random, uint64_t *x, uint64_t register_bits)
{
    uint64_t bits = x[1], words[3] = {0};
    if (bits == 0 || bits > 3u * register_bits) {
        x[0] = result(TRNG_INVALID_PARAMETERS);
        return;
    }
    random_bytes(random, words, sizeof(words));
    for (uint32_t i = 0; i < 3; i++) { /* words[0]: the lowest bits */
        uint64_t left = bits > i * register_bits ? bits - i * register_bits : 0;
        uint32_t width = left < register_bits ? (uint32_t)left : (uint32_t)register_bits;
        x[3 - i] = width == 0 ? 0 : words[i] >> (64 - width);
    }
    x[0] = SUCCESS;
}

static void trng_uuid(uint64_t *x)
{
    /* 7f1d6e0a-52c8-4b6b-9d43-51756f6c6c31: its bytes, four to a word, the first one lowest */
    x[0] = 0x0a6e1d7f;
    x[1] = 0x6b4bc852;
    x[2] = 0x7551439d;
    x[3] = 0x316c6c6f;
}

/* CPU_SUSPEND to a standby state may end at once, which is what happens here; deeper states do not exist. */
static uint64_t suspend(uint64_t state)
{
    return state & SUSPEND_POWER_DOWN ? result(INVALID_PARAMETERS) : SUCCESS;
}

/* Calls with an effect beyond their answer; false: not one of them. */
static bool effective_call(struct power *power, uint32_t self, uint32_t function, uint64_t *x,
                           struct psci_answer *answer)
{
    switch (function) {
    case PSCI_CPU_ON:
    case PSCI_CPU_ON | CALL_64BIT:
        *answer = cpu_on(power, x);
        return true;
    case PSCI_CPU_OFF:
        x[0] = move(power, self, POWER_ON, POWER_OFF) ? SUCCESS : result(DENIED);
        answer->effect = x[0] == SUCCESS ? PSCI_STOPPED : PSCI_CONTINUE;
        return true;
    case PSCI_SYSTEM_OFF:
        answer->effect = PSCI_OFF;
        return true;
    case PSCI_SYSTEM_RESET:
        answer->effect = PSCI_RESET;
        return true;
    case PSCI_SYSTEM_RESET2:
    case PSCI_SYSTEM_RESET2 | CALL_64BIT:
        if (x[1] != 0) /* SYSTEM_WARM_RESET is the only kind there is */
            x[0] = result(INVALID_PARAMETERS);
        else
            answer->effect = PSCI_RESET;
        return true;
    default:
        return false;
    }
}

static uint64_t architecture_features(uint32_t function)
{
    return function == SMCCC_VERSION || function == SMCCC_ARCH_FEATURES ? SUCCESS
                                                                        : result(NOT_SUPPORTED);
}

struct psci_answer psci_call(struct power *power, struct random *random, uint32_t self, uint64_t *x)
{
    struct psci_answer answer = {PSCI_CONTINUE, 0};
    uint32_t function = (uint32_t)x[0];
    if (!(function & CALL_64BIT)) /* SMC32: arguments are 32 bits wide */
        for (int i = 1; i < 4; i++)
            x[i] &= UINT32_MAX;
    if (effective_call(power, self, function, x, &answer))
        return answer;
    switch (function) {
    case SMCCC_VERSION:
    case PSCI_VERSION:
        x[0] = VERSION_1_1;
        break;
    case SMCCC_ARCH_FEATURES:
        x[0] = architecture_features((uint32_t)x[1]);
        break;
    case PSCI_FEATURES:
        x[0] = features((uint32_t)x[1]);
        break;
    case PSCI_CPU_SUSPEND:
    case PSCI_CPU_SUSPEND | CALL_64BIT:
        x[0] = suspend(x[1]);
        break;
    case PSCI_AFFINITY_INFO:
    case PSCI_AFFINITY_INFO | CALL_64BIT:
        x[0] = affinity_info(power, x[1], x[2]);
        break;
    case PSCI_MIGRATE_INFO_TYPE:
        x[0] = MIGRATE_NOT_REQUIRED;
        break;
    case TRNG_VERSION:
        x[0] = TRNG_VERSION_1_0;
        break;
    case TRNG_FEATURES:
        x[0] = trng_features((uint32_t)x[1]);
        break;
    case TRNG_GET_UUID:
        trng_uuid(x);
        break;
    case TRNG_RND:
        trng_random(random, x, 32);
        break;
    case TRNG_RND | CALL_64BIT:
        trng_random(random, x, 64);
        break;
    default:
        x[0] = result(NOT_SUPPORTED);
        break;
    }
    return answer;
}
