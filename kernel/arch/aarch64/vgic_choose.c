/* See vgic_choose.h. */
#include "vgic_choose.h"

#define read_once(lvalue) __atomic_load_n(&(lvalue), __ATOMIC_RELAXED)

static bool is_listed(const struct vgic_query *query, uint32_t intid)
{
    for (uint32_t left = query->used; left != 0; left &= left - 1) {
        if (query->intid[__builtin_ctz(left)] == intid) {
            return true;
        }
    }
    return false;
}

static void consider(const struct vgic_query *query, struct vgic_choices *choices, uint32_t intid,
                     uint8_t priority)
{
    if (is_listed(query, intid)) {
        return;
    }
    if (choices->count == choices->room) {
        choices->more = true;
        if (choices->room == 0 || priority >= choices->best[choices->room - 1].priority) {
            return;
        }
        choices->count--;
    }
    uint32_t place = choices->count++;
    for (; place > 0 && choices->best[place - 1].priority > priority; place--) {
        choices->best[place] = choices->best[place - 1];
    }
    choices->best[place].intid = (uint16_t)intid;
    choices->best[place].priority = priority;
}

static void choose_private(const struct vgic_query *query, struct vgic_choices *choices)
{
    const struct quoll_vcpu_interrupts *own = &query->page->vcpu[query->vcpu];
    uint32_t asserted = (read_once(own->pending) | read_once(own->level)) & ~(1u << VGIC_TIMER);

    if (query->timer) {
        asserted |= 1u << VGIC_TIMER;
    }
    if (asserted == 0) {
        return;
    }
    uint32_t left = asserted & read_once(own->enabled) & read_once(own->group1);
    for (; left != 0; left &= left - 1) {
        uint32_t intid = (uint32_t)__builtin_ctz(left);
        consider(query, choices, intid, read_once(own->priority[intid]));
    }
}

static void choose_shared(const struct vgic_query *query, struct vgic_choices *choices)
{
    const struct quoll_vm_interrupts *page = query->page;

    for (uint32_t word = 0; word < QUOLL_VM_SPIS / 64; word++) {
        uint64_t left = read_once(page->pending[word]) | read_once(page->level[word]);
        if (left == 0) {
            continue;
        }
        left &= read_once(page->enabled[word]) & read_once(page->group1[word]);
        for (; left != 0; left &= left - 1) {
            uint32_t spi = word * 64 + (uint32_t)__builtin_ctzll(left);
            if (read_once(page->target[spi]) == query->vcpu) {
                consider(query, choices, VGIC_PRIVATE + spi, read_once(page->priority[spi]));
            }
        }
    }
}

void vgic_choose(const struct vgic_query *query, struct vgic_choices *choices)
{
    choices->count = 0;
    choices->more = false;
    if (read_once(query->page->distributor_enabled) == 0) {
        return;
    }
    choose_private(query, choices);
    choose_shared(query, choices);
}

#define SGI_TARGET_LIST(value) ((uint32_t)(value)&0xffff)
#define SGI_ALL_BUT_SELF (UINT64_C(1) << 40)
/* Aff1, Aff2, Aff3 and the range selector: all vCPUs are at 0.0.0.0 to 0.0.0.15 */
#define SGI_OTHER_AFFINITY UINT64_C(0x00fff0ff00ff0000)

uint32_t vgic_sgi_targets(uint64_t value, uint32_t self, uint32_t vcpu_count)
{
    uint32_t all = (uint32_t)((UINT64_C(1) << vcpu_count) - 1);

    if (value & SGI_ALL_BUT_SELF) {
        return all & ~(1u << self);
    }
    if (value & SGI_OTHER_AFFINITY) {
        return 0;
    }
    return SGI_TARGET_LIST(value) & all;
}
