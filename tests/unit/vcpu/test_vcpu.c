/*
 * The pure parts of the kernel's virtual CPUs: which interrupts a vCPU gets, what an abort's syndrome means, what CPU
 * a guest sees.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data_abort.h"
#include "id_view.h"
#include "vgic_choose.h"

#define VCPU 3

/* A VM whose interrupts are all enabled, in group 1, of priority 0xa0, and go to VCPU. */
static struct quoll_vm_interrupts page;

static int open_page(void **state)
{
    memset(&page, 0, sizeof page);
    page.distributor_enabled = 1;
    memset(page.enabled, 0xff, sizeof page.enabled);
    memset(page.group1, 0xff, sizeof page.group1);
    memset(page.priority, 0xa0, sizeof page.priority);
    memset(page.target, VCPU, sizeof page.target);
    page.vcpu[VCPU].enabled = page.vcpu[VCPU].group1 = UINT32_MAX;
    memset(page.vcpu[VCPU].priority, 0xa0, sizeof page.vcpu[VCPU].priority);
    return 0;
}

static struct vgic_choices choose(uint32_t room, bool timer, const uint16_t *listed, uint32_t used)
{
    struct vgic_query query = {
        .page = &page, .vcpu = VCPU, .timer = timer, .intid = listed, .used = used};
    struct vgic_choices choices = {.room = room};
    vgic_choose(&query, &choices);
    return choices;
}

static void pend(uint32_t intid)
{
    if (intid < 32)
        page.vcpu[VCPU].pending |= UINT32_C(1) << intid;
    else
        page.pending[(intid - 32) / 64] |= UINT64_C(1) << (intid - 32) % 64;
}

static void nothing_pending_nothing_chosen(void **state)
{
    struct vgic_choices choices = choose(4, false, NULL, 0);
    assert_int_equal(choices.count, 0);
    assert_false(choices.more);
}

static void first_and_last_of_each_kind_are_found(void **state)
{
    static const uint16_t all[] = {0, 15, 16, 31, 32, 95, 96, 287};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        pend(all[i]);
    struct vgic_choices choices = choose(16, false, NULL, 0);
    assert_int_equal(choices.count, 8);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(choices.best[i].intid, all[i]);
}

static void most_urgent_first_then_lowest_number(void **state)
{
    pend(5), pend(9), pend(40), pend(200);
    page.priority[200 - 32] = 0x20;
    page.vcpu[VCPU].priority[9] = 0x40;
    struct vgic_choices choices = choose(4, false, NULL, 0);
    static const uint16_t order[] = {200, 9, 5, 40};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(choices.best[i].intid, order[i]);
    assert_int_equal(choices.best[0].priority, 0x20);
}

static void too_little_room_keeps_the_most_urgent_and_says_so(void **state)
{
    for (uint32_t intid = 32; intid < 288; intid++) {
        pend(intid);
        page.priority[intid - 32] = (uint8_t)(287 - intid); /* the last is the most urgent */
    }
    struct vgic_choices choices = choose(4, false, NULL, 0);
    assert_int_equal(choices.count, 4);
    assert_true(choices.more);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(choices.best[i].intid, 287 - i);
    choices = choose(0, false, NULL, 0);
    assert_int_equal(choices.count, 0);
    assert_true(choices.more);
}

static void what_holds_an_interrupt_back(void **state)
{
    pend(40);
    assert_int_equal(choose(4, false, NULL, 0).count, 1);
    page.enabled[0] &= ~(UINT64_C(1) << 8);
    assert_int_equal(choose(4, false, NULL, 0).count, 0);
    open_page(state), pend(40);
    page.group1[0] &= ~(UINT64_C(1) << 8);
    assert_int_equal(choose(4, false, NULL, 0).count, 0);
    open_page(state), pend(40);
    page.target[8] = VCPU + 1;
    assert_int_equal(choose(4, false, NULL, 0).count, 0);
    open_page(state), pend(40);
    page.distributor_enabled = 0;
    assert_int_equal(choose(4, false, NULL, 0).count, 0);
}

static void an_asserted_level_counts_like_pending(void **state)
{
    page.level[1] = 1;
    page.vcpu[VCPU].level = 1u << 30;
    struct vgic_choices choices = choose(4, false, NULL, 0);
    assert_int_equal(choices.count, 2);
    assert_int_equal(choices.best[0].intid, 30);
    assert_int_equal(choices.best[1].intid, 96);
}

static void the_virtual_timer_is_not_the_pages_to_raise(void **state)
{
    pend(VGIC_TIMER);
    page.vcpu[VCPU].level = 1u << VGIC_TIMER;
    assert_int_equal(choose(4, false, NULL, 0).count, 0);
    assert_int_equal(choose(4, true, NULL, 0).best[0].intid, VGIC_TIMER);
    page.vcpu[VCPU].enabled = 0;
    assert_int_equal(choose(4, true, NULL, 0).count, 0);
}

static void what_is_in_a_list_register_is_not_chosen_again(void **state)
{
    uint16_t listed[16] = {[2] = 40, [5] = 41};
    pend(40), pend(41), pend(42);
    struct vgic_choices choices = choose(4, false, listed, 1u << 2); /* 5 is not in use */
    assert_int_equal(choices.count, 2);
    assert_int_equal(choices.best[0].intid, 41);
    assert_int_equal(choices.best[1].intid, 42);
}

/* Whatever a hostile VMM writes, what is chosen exists, differs and is in order. */
static void any_page_gives_sound_choices(void **state)
{
    srand(1);
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t *bytes = (uint8_t *)&page;
        for (size_t i = 0; i < sizeof page; i++)
            bytes[i] = (uint8_t)(rand() >> 7);
        for (size_t i = 0; i < sizeof page.target; i++)
            page.target[i] = (uint8_t)(rand() >> 7 & 7);
        uint32_t room = (uint32_t)rand() % (VGIC_CHOICES_MAX + 1);
        struct vgic_choices choices = choose(room, round % 2, NULL, 0);
        assert_true(choices.count <= room);
        for (uint32_t i = 0; i < choices.count; i++) {
            uint32_t intid = choices.best[i].intid;
            assert_true(intid < VGIC_INTIDS);
            assert_true(intid < 32 || page.target[intid - 32] == VCPU);
            for (uint32_t j = i + 1; j < choices.count; j++) {
                assert_int_not_equal(choices.best[j].intid, intid);
                assert_true(choices.best[j].priority >= choices.best[i].priority);
            }
        }
    }
}

static void sgi_targets_are_vcpus_of_this_vm(void **state)
{
    assert_int_equal(vgic_sgi_targets(0x5, 0, 4), 0x5);
    assert_int_equal(vgic_sgi_targets(0xfff0, 0, 4), 0);
    assert_int_equal(vgic_sgi_targets(0xffff, 0, 16), 0xffff);
    assert_int_equal(vgic_sgi_targets(UINT64_C(1) << 40 | 0xffff, 2, 4), 0xb);
    assert_int_equal(vgic_sgi_targets(UINT64_C(1) << 40, 0, 1), 0);
    /* another affinity 1, 2, 3 or range */
    assert_int_equal(vgic_sgi_targets(UINT64_C(1) << 16 | 1, 0, 4), 0);
    assert_int_equal(vgic_sgi_targets(UINT64_C(1) << 32 | 1, 0, 4), 0);
    assert_int_equal(vgic_sgi_targets(UINT64_C(1) << 44 | 1, 0, 4), 0);
    assert_int_equal(vgic_sgi_targets(UINT64_C(1) << 48 | 1, 0, 4), 0);
    /* the INTID is not a target */
    assert_int_equal(vgic_sgi_targets(UINT64_C(15) << 24 | 1, 0, 4), 1);
}

/* ESR_EL2 of translation faults of these instructions. */
#define LDR_W3 0x93830006u      /* ldr w3, [x]: valid, 32 bits, register 3 */
#define STR_X7 0x93c78046u      /* str x7, [x]: 64 bits */
#define LDRSB_X2 0x93228006u    /* ldrsb x2, [x] */
#define LDRSH_W2 0x93620006u    /* ldrsh w2, [x] */
#define STP_UNKNOWN 0x92000046u /* stp: not described */

static void an_abort_is_decoded(void **state)
{
    struct guest_access access;
    assert_true(data_abort_decode(LDR_W3, &access));
    assert_false(access.write);
    assert_int_equal(access.size, 4);
    assert_int_equal(access.reg, 3);
    assert_true(data_abort_decode(STR_X7, &access));
    assert_true(access.write);
    assert_int_equal(access.size, 8);
    assert_int_equal(access.reg, 7);
    assert_int_equal(guest_access_stored(&access, UINT64_MAX), UINT64_MAX);
    assert_false(data_abort_decode(STP_UNKNOWN, &access));
    assert_false(data_abort_decode(LDR_W3 | 1u << 7, &access)); /* walking its tables */
    assert_false(data_abort_decode(LDR_W3 | 1u << 8, &access)); /* cache maintenance */
}

static void a_loaded_value_is_cut_and_extended(void **state)
{
    struct guest_access access;
    assert_true(data_abort_decode(LDRSB_X2, &access));
    assert_int_equal(access.size, 1);
    assert_int_equal(guest_access_loaded(&access, 0x12345680), UINT64_C(0xffffffffffffff80));
    assert_int_equal(guest_access_loaded(&access, 0x1234567f), 0x7f);
    assert_true(data_abort_decode(LDRSH_W2, &access));
    assert_int_equal(guest_access_loaded(&access, 0x8000), UINT64_C(0xffff8000));
    assert_true(data_abort_decode(LDR_W3, &access));
    assert_int_equal(guest_access_loaded(&access, UINT64_MAX), UINT32_MAX);
    assert_int_equal(guest_access_stored(&access, UINT64_MAX), UINT32_MAX);
}

static void aborts_are_told_apart(void **state)
{
    assert_int_equal(abort_classify(0x93830006), ABORT_UNMAPPED);
    assert_int_equal(abort_classify(0x93830000), ABORT_UNMAPPED); /* beyond the address size */
    assert_int_equal(abort_classify(0x9383000f), ABORT_RIGHTS);
    assert_int_equal(abort_classify(0x93830010), ABORT_OTHER);
    assert_int_equal(abort_classify(0x93830035), ABORT_OTHER);
    assert_true(abort_in_table_walk(0x93830086));
}

static uint64_t field(const struct id_view *view, unsigned row, unsigned column, unsigned shift)
{
    return view->value[row][column] >> shift & 15;
}

static void a_guest_sees_only_what_it_can_use(void **state)
{
    struct id_view cpu, guest;
    for (unsigned row = 0; row < ID_ROWS; row++) {
        for (unsigned column = 0; column < ID_COLUMNS; column++)
            cpu.value[row][column] = UINT64_C(0x1111111111111111);
    }
    cpu.value[4][0] = UINT64_C(0x1111111111111112);
    id_view_make(&cpu, &guest);
    assert_int_equal(field(&guest, ID_AA64PFR0, 0), 2);   /* EL0: AArch32 too */
    assert_int_equal(field(&guest, ID_AA64PFR0, 4), 1);   /* EL1: AArch64 */
    assert_int_equal(field(&guest, ID_AA64PFR0, 8), 0);   /* no EL2 */
    assert_int_equal(field(&guest, ID_AA64PFR0, 12), 0);  /* no EL3 */
    assert_int_equal(field(&guest, ID_AA64PFR0, 24), 1);  /* GICv3 */
    assert_int_equal(field(&guest, ID_AA64PFR0, 28), 0);  /* no RAS */
    assert_int_equal(field(&guest, ID_AA64PFR0, 32), 0);  /* no SVE */
    assert_int_equal(field(&guest, ID_AA64PFR0, 44), 0);  /* no activity monitors */
    assert_int_equal(field(&guest, ID_AA64PFR1, 8), 0);   /* no MTE */
    assert_int_equal(field(&guest, ID_AA64PFR1, 24), 0);  /* no SME */
    assert_int_equal(field(&guest, ID_AA64DFR0, 8), 0);   /* no performance monitors */
    assert_int_equal(field(&guest, ID_AA64DFR0, 32), 0);  /* no profiling */
    assert_int_equal(field(&guest, ID_AA64ISAR2, 0), 0);  /* no timed WFI */
    assert_int_equal(field(&guest, ID_AA64MMFR1, 8), 0);  /* no VHE */
    assert_int_equal(field(&guest, ID_AA64MMFR2, 24), 0); /* no nested virtualization */
    assert_int_equal(field(&guest, ID_AA64ISAR0, 20), 1); /* atomics pass */
    assert_int_equal(field(&guest, ID_AA64ISAR1, 4), 1);  /* pointer authentication passes */
    assert_int_equal(guest.value[4][4], 0);               /* ID_AA64ZFR0 */
    assert_int_equal(guest.value[5][4], 0);               /* ID_AA64AFR0 */
}

static void missing_floating_point_stays_missing(void **state)
{
    struct id_view cpu = {0}, guest;
    cpu.value[4][0] = UINT64_C(0x0000000000ff0011);
    id_view_make(&cpu, &guest);
    assert_int_equal(field(&guest, ID_AA64PFR0, 16), 15);
    assert_int_equal(field(&guest, ID_AA64PFR0, 20), 15);
    assert_int_equal(field(&guest, ID_AA64PFR0, 0), 1);
}

static void large_physical_addresses_are_cut_to_40_bits(void **state)
{
    struct id_view cpu = {0}, guest;
    cpu.value[7][0] = 6;
    id_view_make(&cpu, &guest);
    assert_int_equal(field(&guest, ID_AA64MMFR0, 0), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_pending_nothing_chosen, open_page),
        cmocka_unit_test_setup(first_and_last_of_each_kind_are_found, open_page),
        cmocka_unit_test_setup(most_urgent_first_then_lowest_number, open_page),
        cmocka_unit_test_setup(too_little_room_keeps_the_most_urgent_and_says_so, open_page),
        cmocka_unit_test_setup(what_holds_an_interrupt_back, open_page),
        cmocka_unit_test_setup(an_asserted_level_counts_like_pending, open_page),
        cmocka_unit_test_setup(the_virtual_timer_is_not_the_pages_to_raise, open_page),
        cmocka_unit_test_setup(what_is_in_a_list_register_is_not_chosen_again, open_page),
        cmocka_unit_test_setup(any_page_gives_sound_choices, open_page),
        cmocka_unit_test(sgi_targets_are_vcpus_of_this_vm),
        cmocka_unit_test(an_abort_is_decoded),
        cmocka_unit_test(a_loaded_value_is_cut_and_extended),
        cmocka_unit_test(aborts_are_told_apart),
        cmocka_unit_test(a_guest_sees_only_what_it_can_use),
        cmocka_unit_test(missing_floating_point_stays_missing),
        cmocka_unit_test(large_physical_addresses_are_cut_to_40_bits),
    };
    return cmocka_run_group_tests_name("vcpu", tests, NULL, NULL);
}
