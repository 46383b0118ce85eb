/* Firmware calls: power states of vCPUs, also under races, and the rest of what guests ask. */
#include "fake.h"
#include "psci.h"
#include <pthread.h>

#define CPU_OFF 0x84000002u
#define CPU_ON 0xc4000003u
#define AFFINITY_INFO 0xc4000004u
#define ENTRY (VIRT_RAM + 0x80000)

static struct power power;
static struct random generator;

static int setup(void **state)
{
    power = (struct power){.vcpu_count = 4, .ram_base = VIRT_RAM, .ram_size = RAM_BYTES};
    power_reset(&power);
    generator = (struct random){.key = {1}};
    return 0;
}

static struct psci_answer call(uint32_t self, uint64_t *x)
{
    return psci_call(&power, &generator, self, x);
}

static int64_t simple(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t x[4] = {function, a, b, c};
    call(0, x);
    return (int64_t)x[0];
}

static void power_on(uint32_t vcpu)
{
    uint64_t entry, context;
    assert_int_equal(power_start(&power, vcpu, ENTRY, 7), POWER_OFF);
    assert_true(power_take(&power, vcpu, &entry, &context));
    assert_int_equal(entry, ENTRY);
    assert_int_equal(context, 7);
}

static void versions(void **state)
{
    assert_int_equal(simple(0x84000000, 0, 0, 0), 0x10001); /* PSCI 1.1 */
    assert_int_equal(simple(0x80000000, 0, 0, 0), 0x10001); /* SMCCC 1.1 */
    assert_int_equal(simple(0x84000050, 0, 0, 0), 0x10000); /* TRNG 1.0 */
    assert_int_equal(simple(0x84000006, 0, 0, 0), 2);       /* no trusted OS to migrate */
}

static void features_tell_what_is_there(void **state)
{
    static const uint32_t there[] = {0x84000000, 0x84000002, 0x84000003, 0xc4000003, 0xc4000004,
                                     0x84000008, 0x84000009, 0x8400000a, 0x84000012, 0x80000000};
    for (size_t i = 0; i < sizeof(there) / sizeof(there[0]); i++)
        assert_int_equal(simple(0x8400000a, there[i], 0, 0), 0);
    assert_int_equal(simple(0x8400000a, 0x8400000e, 0, 0), -1); /* SYSTEM_SUSPEND */
    assert_int_equal(simple(0x8400000a, 0x12345678, 0, 0), -1);
}

static void unknown_calls_are_not_supported(void **state)
{
    assert_int_equal(simple(0x8600ff01, 0, 0, 0), -1);
    assert_int_equal(simple(0, 0, 0, 0), -1);
    assert_int_equal(simple(0xffffffff, 0, 0, 0), -1);
    assert_int_equal(simple(0x80000001, 0x80008000, 0, 0), -1); /* ARCH_WORKAROUND_1 */
}

static void a_vcpu_goes_on_and_off(void **state)
{
    power_on(0);
    assert_int_equal(simple(AFFINITY_INFO, 1, 0, 0), 1); /* off */
    uint64_t x[4] = {CPU_ON, 1, ENTRY, 0x1122334455667788};
    struct psci_answer answer = call(0, x);
    assert_int_equal(x[0], 0);
    assert_int_equal(answer.effect, PSCI_STARTED);
    assert_int_equal(answer.target, 1);
    assert_int_equal(simple(0xc4000004, 1, 0, 0), 2); /* on pending */
    assert_int_equal(simple(CPU_ON, 1, ENTRY, 0), -5);
    uint64_t entry, context;
    assert_true(power_take(&power, 1, &entry, &context));
    assert_int_equal(context, 0x1122334455667788);
    assert_int_equal(simple(0xc4000004, 1, 0, 0), 0); /* on */
    assert_int_equal(simple(CPU_ON, 1, ENTRY, 0), -4);
    uint64_t y[4] = {0x84000002};
    assert_int_equal(call(1, y).effect, PSCI_STOPPED);
    assert_int_equal(simple(0xc4000004, 1, 0, 0), 1);
}

static void wrong_targets_and_entries(void **state)
{
    assert_int_equal(simple(CPU_ON, 4, ENTRY, 0), -2);
    assert_int_equal(simple(CPU_ON, 0x100, ENTRY, 0), -2);
    assert_int_equal(simple(CPU_ON, UINT64_C(1) << 32, ENTRY, 0), -2);
    assert_int_equal(simple(CPU_ON, 1, 0x1000, 0), -9);
    assert_int_equal(simple(CPU_ON, 1, ENTRY + 2, 0), -9);
    assert_int_equal(simple(CPU_ON, 1, VIRT_RAM + RAM_BYTES, 0), -9);
    assert_int_equal(simple(0xc4000004, 9, 0, 0), -2);
    assert_int_equal(simple(0xc4000004, 0, 1, 0), -2); /* clusters have no state */
}

static void short_calls_have_short_arguments(void **state)
{
    assert_int_equal(simple(0x84000003, UINT64_C(0xdead00000001), ENTRY, UINT64_C(0xdead00000002)),
                     0);
    assert_int_equal(power.vcpu[1].context, 2);
}

static void system_calls_have_their_effect(void **state)
{
    uint64_t off[4] = {0x84000008}, reset[4] = {0x84000009}, reset2[4] = {0xc4000012, 0, 5},
             vendor[4] = {0xc4000012, 0x80000001};
    assert_int_equal(call(0, off).effect, PSCI_OFF);
    assert_int_equal(call(0, reset).effect, PSCI_RESET);
    assert_int_equal(call(0, reset2).effect, PSCI_RESET);
    assert_int_equal(call(0, vendor).effect, PSCI_CONTINUE);
    assert_int_equal((int64_t)vendor[0], -2);
}

static void random_numbers_have_the_width_asked_for(void **state)
{
    uint64_t seen[4] = {0};
    for (int i = 0; i < 64; i++) {
        uint64_t x[4] = {0xc4000053, 70};
        call(0, x);
        assert_int_equal(x[0], 0);
        assert_int_equal(x[1], 0);
        assert_true(x[2] < 64);
        seen[2] |= x[2];
        seen[3] |= x[3];
    }
    assert_int_equal(seen[2], 63);
    assert_int_equal(seen[3], UINT64_MAX);
    uint64_t x[4] = {0x84000053, 96};
    call(0, x);
    assert_true(x[1] <= UINT32_MAX && x[2] <= UINT32_MAX && x[3] <= UINT32_MAX);
    assert_int_equal(simple(0xc4000053, 193, 0, 0), -2);
    assert_int_equal(simple(0xc4000053, 0, 0, 0), -2);
    assert_int_equal(simple(0x84000053, 97, 0, 0), -2);
}

static void chacha20_is_that_of_the_rfc(void **state) /* RFC 8439, 2.3.2 */
{
    const uint32_t in[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, 0x03020100, 0x07060504,
                             0x0b0a0908, 0x0f0e0d0c, 0x13121110, 0x17161514, 0x1b1a1918, 0x1f1e1d1c,
                             0x00000001, 0x09000000, 0x4a000000, 0x00000000};
    const uint32_t expected[16] = {0xe4e7f110, 0x15593bd1, 0x1fdd0f50, 0xc47120a3,
                                   0xc7f4d1c7, 0x0368c033, 0x9aaa2204, 0x4e6cd4c3,
                                   0x466482d2, 0x09aa9f07, 0x05d7c214, 0xa2028bd9,
                                   0xd19c12b5, 0xb94e16de, 0xe883d0cb, 0x4e3c50a2};
    uint32_t out[16];
    chacha20_block(in, out);
    assert_memory_equal(out, expected, sizeof(out));
}

static void seeds_make_a_difference(void **state)
{
    struct random a = {0}, b = {0};
    uint8_t from_a[40], from_b[40];
    random_absorb(&a, "a seed of some length, more than one block", 42);
    random_absorb(&b, "a seed of some length, more than one blocK", 42);
    random_bytes(&a, from_a, sizeof(from_a));
    random_bytes(&b, from_b, sizeof(from_b));
    assert_memory_not_equal(from_a, from_b, sizeof(from_a));
}

/* Two vCPUs switch a third one on at the same time, many times: exactly one of them succeeds each time. */
static pthread_barrier_t barrier;
static int64_t results[2];

static void *racer(void *which)
{
    for (int i = 0; i < 2000; i++) {
        uint64_t x[4] = {CPU_ON, 3, ENTRY, 0};
        pthread_barrier_wait(&barrier);
        psci_call(&power, &(struct random){0}, 0, x);
        results[*(int *)which] = (int64_t)x[0];
        pthread_barrier_wait(&barrier);
        if (*(int *)which == 0) {
            uint64_t entry, context;
            assert_true((results[0] == 0) != (results[1] == 0));
            assert_int_equal(results[0] + results[1], -5);
            assert_true(power_take(&power, 3, &entry, &context));
            power_reset(&power);
        }
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static void races_have_one_winner(void **state)
{
    pthread_t other;
    int zero = 0, one = 1;
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&other, NULL, racer, &one);
    racer(&zero);
    pthread_join(other, NULL);
}

/* vCPU 3 goes off as soon as it is on; who switches it on at that moment finds it on or off, but never on its way. */
static bool over;

static void *goes_off_at_once(void *unused)
{
    while (!__atomic_load_n(&over, __ATOMIC_SEQ_CST)) {
        uint64_t entry, context, x[4] = {CPU_OFF, 0, 0, 0};
        if (power_take(&power, 3, &entry, &context))
            psci_call(&power, &(struct random){0}, 3, x);
    }
    return NULL;
}

static void a_vcpu_that_goes_off_is_not_pending(void **state)
{
    pthread_t other;
    uint32_t pending = 0;
    over = false;
    pthread_create(&other, NULL, goes_off_at_once, NULL);
    for (int i = 0; i < 100000; i++) {
        int64_t answer = simple(CPU_ON, 3, ENTRY, 0);
        while (answer == 0 && simple(AFFINITY_INFO, 3, 0, 0) == 2) {
        }
        pending += answer == -5 ? 1 : 0;
    }
    __atomic_store_n(&over, true, __ATOMIC_SEQ_CST);
    pthread_join(other, NULL);
    assert_int_equal(pending, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(versions, setup),
        cmocka_unit_test_setup(features_tell_what_is_there, setup),
        cmocka_unit_test_setup(unknown_calls_are_not_supported, setup),
        cmocka_unit_test_setup(a_vcpu_goes_on_and_off, setup),
        cmocka_unit_test_setup(wrong_targets_and_entries, setup),
        cmocka_unit_test_setup(short_calls_have_short_arguments, setup),
        cmocka_unit_test_setup(system_calls_have_their_effect, setup),
        cmocka_unit_test_setup(random_numbers_have_the_width_asked_for, setup),
        cmocka_unit_test(chacha20_is_that_of_the_rfc),
        cmocka_unit_test(seeds_make_a_difference),
        cmocka_unit_test_setup(races_have_one_winner, setup),
        cmocka_unit_test_setup(a_vcpu_that_goes_off_is_not_pending, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
