/* The interrupt controller's registers, by what an operating system does with them. */
#include "fake.h"

static uint64_t dist_read(uint64_t offset, uint32_t size)
{
    struct access access = {offset, 0x5555, size, 0};
    vgic_distributor(&vgic, &access);
    return access.value;
}

static void dist_write(uint64_t offset, uint64_t value, uint32_t size)
{
    struct access access = {offset, value, size, 1};
    vgic_distributor(&vgic, &access);
}

static uint64_t redist_read(uint32_t vcpu, uint64_t offset, uint32_t size)
{
    struct access access = {vcpu * VIRT_GICR_STRIDE + offset, 0x5555, size, 0};
    vgic_redistributor(&vgic, &access);
    return access.value;
}

static void redist_write(uint32_t vcpu, uint64_t offset, uint64_t value, uint32_t size)
{
    struct access access = {vcpu * VIRT_GICR_STRIDE + offset, value, size, 1};
    vgic_redistributor(&vgic, &access);
}

static void distributor_tells_what_it_is(void **state)
{
    uint64_t type = dist_read(0x4, 4);
    assert_int_equal(((type & 31) + 1) * 32, 288);  /* INTIDs */
    assert_int_equal(type >> 5 & 7, 3);             /* vCPUs - 1 */
    assert_int_equal(type >> 10 & 1, 0);            /* no second security state */
    assert_int_equal(type >> 17 & 1, 0);            /* no LPIs */
    assert_int_equal(dist_read(0xffe8, 4) >> 4, 3); /* architecture version 3 */
    assert_int_equal(dist_read(0x0, 4), 0x50);      /* affinity routing, one security state */
    assert_int_equal(redist_read(0, 0xffe8, 4) >> 4, 3);
}

static void redistributors_form_a_row(void **state)
{
    for (uint32_t vcpu = 0; vcpu < 4; vcpu++) {
        uint64_t type = redist_read(vcpu, 0x8, 8);
        assert_int_equal(type >> 32, vcpu);
        assert_int_equal(type >> 8 & 0xffff, vcpu);
        assert_int_equal(type >> 4 & 1, vcpu == 3); /* Last */
        assert_int_equal(redist_read(vcpu, 0x8, 4), type & UINT32_MAX);
        assert_int_equal(redist_read(vcpu, 0xc, 4), vcpu);
    }
}

static void waker_follows(void **state)
{
    assert_int_equal(redist_read(1, 0x14, 4), 6);
    redist_write(1, 0x14, 0, 4);
    assert_int_equal(redist_read(1, 0x14, 4), 0);
    assert_int_equal(redist_read(2, 0x14, 4), 6);
}

static void enabling_the_distributor_shows_to_the_kernel(void **state)
{
    dist_write(0x0, 0x12, 4); /* ARE, group 1 */
    assert_int_equal(interrupts.distributor_enabled, 1);
    assert_int_equal(fake.looks, 1);
    assert_int_equal(fake.looked_at, QUOLL_VCPU_ALL);
    assert_int_equal(dist_read(0x0, 4), 0x52);
    dist_write(0x0, 0, 4);
    assert_int_equal(interrupts.distributor_enabled, 0);
}

static void set_and_clear_registers_change_single_bits(void **state)
{
    dist_write(0x104, 0x80000001, 4); /* SPIs 0 and 31 */
    dist_write(0x108, 0x2, 4);        /* SPI 33 */
    assert_int_equal(interrupts.enabled[0], 0x280000001);
    dist_write(0x184, 0x1, 4);
    assert_int_equal(interrupts.enabled[0], 0x280000000);
    assert_int_equal(dist_read(0x104, 4), 0x80000000);
    assert_int_equal(dist_read(0x188, 4), 2);
    dist_write(0x100, UINT32_MAX, 4); /* private interrupts are not here */
    assert_int_equal(dist_read(0x100, 4), 0);
    dist_write(0x204, 0x4, 4);
    assert_int_equal(interrupts.pending[0], 4);
    dist_write(0x284, 0x4, 4);
    assert_int_equal(interrupts.pending[0], 0);
    interrupts.level[0] = 8;
    assert_int_equal(dist_read(0x204, 4), 8); /* an asserted input reads as pending */
    dist_write(0x84, UINT32_MAX, 4);
    assert_int_equal(interrupts.group1[0], UINT32_MAX);
}

static void bits_behind_the_last_interrupt_are_zero(void **state)
{
    dist_write(0x124, UINT32_MAX, 4); /* INTIDs 288.. */
    assert_int_equal(dist_read(0x124, 4), 0);
    dist_write(0x17c, UINT32_MAX, 4);
    dist_write(0x400 + 288, 0xff, 1);
    dist_write(0x400 + 1019, 0xff, 1);
    dist_write(0xcfc, UINT32_MAX, 4);
    dist_write(0x6000 + 8 * 288, 0, 8);
    for (int i = 0; i < 4; i++)
        assert_int_equal(interrupts.enabled[i], 0);
}

static void kernel_looks_when_something_becomes_deliverable(void **state)
{
    interrupts.target[1] = 2;
    dist_write(0x104, 0x2, 4);
    assert_int_equal(fake.looks, 0); /* nothing pending */
    dist_write(0x204, 0x2, 4);
    assert_int_equal(fake.looks, 1);
    assert_int_equal(fake.looked_at, 2);
    vgic_level(&vgic, 33, true);
    assert_int_equal(interrupts.level[0], 2);
    assert_int_equal(fake.looks, 2);
    vgic_level(&vgic, 33, true); /* no change */
    assert_int_equal(fake.looks, 2);
    vgic_level(&vgic, 33, false);
    assert_int_equal(interrupts.level[0], 0);
}

static void priorities_by_byte_and_by_word(void **state)
{
    dist_write(0x420, 0xa0b0c0d7, 4);
    assert_int_equal(interrupts.priority[0], 0xd0); /* five bits */
    assert_int_equal(interrupts.priority[3], 0xa0);
    dist_write(0x421, 0x88, 1);
    assert_int_equal(dist_read(0x420, 4), 0xa0b088d0);
    assert_int_equal(dist_read(0x423, 1), 0xa0);
    redist_write(1, 0x1041b, 0x40, 1);
    assert_int_equal(interrupts.vcpu[1].priority[27], 0x40);
    assert_int_equal(interrupts.vcpu[0].priority[27], 0);
}

static void trigger_modes(void **state)
{
    dist_write(0xc08, 0xaaaaaaaa, 4); /* INTIDs 32..47 edge-triggered */
    dist_write(0xc0c, 0x80000002, 4); /* 48 and 63 */
    assert_int_equal(dist_read(0xc08, 4), 0xaaaaaaaa);
    assert_int_equal(dist_read(0xc0c, 4), 0x80000002);
    dist_write(0xc08, 0, 4);
    assert_int_equal(dist_read(0xc08, 4), 0);
    assert_int_equal(dist_read(0xc0c, 4), 0x80000002);
    redist_write(0, 0x10c00, 0, 4); /* SGIs are always edge-triggered */
    assert_int_equal(redist_read(0, 0x10c00, 4), 0xaaaaaaaa);
}

static void routing(void **state)
{
    dist_write(0x6000 + 8 * 33, 3, 8);
    assert_int_equal(interrupts.target[1], 3);
    assert_int_equal(dist_read(0x6000 + 8 * 33, 8), 3);
    dist_write(0x6000 + 8 * 33, 4, 8); /* no such vCPU */
    assert_int_equal(interrupts.target[1], 0xff);
    dist_write(0x6000 + 8 * 33, UINT64_C(1) << 32, 8); /* affinity 3 */
    assert_int_equal(interrupts.target[1], 0xff);
    dist_write(0x6000 + 8 * 33, UINT64_C(1) << 31, 8); /* any */
    assert_int_equal(interrupts.target[1], 0);
    dist_write(0x6000 + 8 * 33, 2, 4);
    dist_write(0x6004 + 8 * 33, 0, 4);
    assert_int_equal(interrupts.target[1], 2);
    dist_write(0x6000 + 8 * 5, 1, 8); /* private: reserved */
    assert_int_equal(dist_read(0x6000 + 8 * 5, 8), 0);
}

static void private_interrupts_belong_to_their_vcpu(void **state)
{
    redist_write(2, 0x10100, 1u << 27, 4);
    assert_int_equal(interrupts.vcpu[2].enabled, 1u << 27);
    assert_int_equal(interrupts.vcpu[0].enabled, 0);
    redist_write(2, 0x10200, 1u << 27, 4);
    assert_int_equal(fake.looked_at, 2);
    redist_write(2, 0x10180, 1u << 27, 4);
    assert_int_equal(redist_read(2, 0x10100, 4), 0);
    redist_write(2, 0x10104, 1, 4); /* behind them */
    assert_int_equal(redist_read(2, 0x10104, 4), 0);
    redist_write(2, 0x10080, UINT32_MAX, 4);
    assert_int_equal(interrupts.vcpu[2].group1, UINT32_MAX);
}

static void double_words_are_two_words(void **state)
{
    dist_write(0x108, UINT64_C(0x0000000200000001), 8);
    assert_int_equal(interrupts.enabled[0], UINT64_C(1) << 32);
    assert_int_equal(interrupts.enabled[1], 2);
    assert_int_equal(dist_read(0x108, 8), UINT64_C(0x0000000200000001));
    redist_write(1, 0x10100, 3, 8);
    assert_int_equal(redist_read(1, 0x10100, 8), 3);
}

static void every_offset_and_size_is_survived(void **state)
{
    static const uint32_t sizes[] = {1, 2, 4, 8};
    for (uint64_t offset = 0; offset < VIRT_GICD_SIZE; offset++)
        for (int i = 0; i < 4; i++) {
            dist_write(offset, UINT64_MAX, sizes[i]);
            dist_read(offset, sizes[i]);
        }
    for (uint64_t offset = 0; offset < VIRT_GICR_STRIDE; offset++)
        for (int i = 0; i < 4; i++) {
            redist_write(3, offset, UINT64_MAX, sizes[i]);
            redist_read(3, offset, sizes[i]);
        }
    for (int i = 0; i < QUOLL_VM_SPIS; i++)
        assert_true(interrupts.target[i] == 0xff || interrupts.target[i] < 4);
}

static void reset_forgets_everything(void **state)
{
    every_offset_and_size_is_survived(state);
    vgic_reset(&vgic);
    assert_int_equal(dist_read(0x104, 4), 0);
    assert_int_equal(interrupts.distributor_enabled, 0);
    assert_int_equal(redist_read(0, 0x14, 4), 6);
    assert_int_equal(dist_read(0xc08, 4), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(distributor_tells_what_it_is, fake_setup),
        cmocka_unit_test_setup(redistributors_form_a_row, fake_setup),
        cmocka_unit_test_setup(waker_follows, fake_setup),
        cmocka_unit_test_setup(enabling_the_distributor_shows_to_the_kernel, fake_setup),
        cmocka_unit_test_setup(set_and_clear_registers_change_single_bits, fake_setup),
        cmocka_unit_test_setup(bits_behind_the_last_interrupt_are_zero, fake_setup),
        cmocka_unit_test_setup(kernel_looks_when_something_becomes_deliverable, fake_setup),
        cmocka_unit_test_setup(priorities_by_byte_and_by_word, fake_setup),
        cmocka_unit_test_setup(trigger_modes, fake_setup),
        cmocka_unit_test_setup(routing, fake_setup),
        cmocka_unit_test_setup(private_interrupts_belong_to_their_vcpu, fake_setup),
        cmocka_unit_test_setup(double_words_are_two_words, fake_setup),
        cmocka_unit_test_setup(every_offset_and_size_is_survived, fake_setup),
        cmocka_unit_test_setup(reset_forgets_everything, fake_setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
