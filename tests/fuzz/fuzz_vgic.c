/*
 * A hostile guest against its interrupt controller: distributor and redistributors with every size at every offset, while device
 * lines change and the kernel chooses what to deliver from the page both share.
 *
 * What must hold: a store changes in the shared page what a plain model of the architecture says, interrupt by interrupt, and nothing
 * else, so that no vCPU's redistributor changes another's state; a deliverable interrupt is told to the kernel; and the kernel
 * chooses exactly the most urgent deliverable ones, also from a page full of nonsense.
 *
 * Input: byte 0: vCPUs; then steps.
 */
#include "calls.h"
#include "data_abort.h"
#include "id_view.h"
#include "input.h"
#include "vgic.h"
#include "vgic_choose.h"

#define MOST_VCPUS QUOLL_MAX_VCPUS_PER_VM

static struct quoll_vm_interrupts page;
static struct vgic vgic;
static uint32_t vcpus;

static bool bit(const uint64_t *words, uint32_t n)
{
    return (words[n / 64] >> n % 64 & 1) != 0;
}

/* ---- the kernel's choice, by a plain search ---- */

static bool listed[VGIC_INTIDS]; /* in a list register already */

static bool deliverable(const struct vgic_query *query, uint32_t intid, uint8_t *priority)
{
    const struct quoll_vcpu_interrupts *own = &page.vcpu[query->vcpu];
    if (listed[intid])
        return false;
    if (intid < VGIC_PRIVATE) {
        bool asserted =
            intid == VGIC_TIMER ? query->timer : (own->pending | own->level) >> intid & 1;
        *priority = own->priority[intid];
        return asserted && (own->enabled & own->group1) >> intid & 1;
    }
    uint32_t spi = intid - VGIC_PRIVATE;
    *priority = page.priority[spi];
    return (bit(page.pending, spi) || bit(page.level, spi)) && bit(page.enabled, spi) &&
           bit(page.group1, spi) && page.target[spi] == query->vcpu;
}

static void check_choice(const struct vgic_query *query, const struct vgic_choices *choices)
{
    bool chosen[VGIC_INTIDS] = {false};
    uint32_t total = 0;
    uint8_t priority, worst = 0;
    HOLDS(choices->count <= choices->room);
    for (uint32_t i = 0; i < choices->count; i++) {
        uint32_t intid = choices->best[i].intid;
        HOLDS(intid < VGIC_INTIDS && !chosen[intid]);
        HOLDS(page.distributor_enabled && deliverable(query, intid, &priority));
        HOLDS(priority == choices->best[i].priority && priority >= worst);
        worst = priority;
        chosen[intid] = true;
    }
    for (uint32_t intid = 0; intid < VGIC_INTIDS && page.distributor_enabled; intid++) {
        if (!deliverable(query, intid, &priority))
            continue;
        total++;
        HOLDS(chosen[intid] ||
              (choices->count == choices->room && (choices->count == 0 || priority >= worst)));
    }
    HOLDS(choices->more == (total > choices->count));
}

static void choose(struct input *input)
{
    static uint16_t intids[32];
    uint8_t choice = input_8(input);
    struct vgic_query query = {.page = &page,
                               .vcpu = choice % vcpus,
                               .timer = choice >> 7,
                               .intid = intids,
                               .used = input_8(input)};
    memset(listed, 0, sizeof(listed));
    for (uint32_t i = 0; i < 8; i++) {
        intids[i] = query.used >> i & 1 ? input_16(input) % 300 : 0;
        if ((query.used >> i & 1) && intids[i] < VGIC_INTIDS)
            listed[intids[i]] = true;
    }
    struct vgic_choices choices = {.room = input_8(input) % (VGIC_CHOICES_MAX + 1)};
    vgic_choose(&query, &choices);
    check_choice(&query, &choices);
}

/* ---- the rest of what the kernel decodes of a guest's doing ---- */

static void decode(struct input *input)
{
    uint64_t value = input_64(input);
    uint32_t self = input_8(input) % vcpus, targets = vgic_sgi_targets(value, self, vcpus);
    HOLDS(targets >> vcpus == 0);
    HOLDS(!(value >> 40 & 1) || targets == (((1u << vcpus) - 1) & ~(1u << self)));
    struct guest_access access;
    uint64_t content = input_64(input);
    abort_classify(value);
    if (data_abort_decode(value, &access)) {
        uint32_t bits = 8u * access.size;
        HOLDS(!abort_in_table_walk(value) && access.reg < 32);
        HOLDS(bits == 64 || guest_access_stored(&access, content) >> bits == 0);
        uint64_t loaded = guest_access_loaded(&access, content);
        HOLDS(access.wide || loaded <= UINT32_MAX);
        HOLDS(bits == 64 || ((loaded ^ content) & ((UINT64_C(1) << bits) - 1) &
                             (access.wide ? UINT64_MAX : UINT32_MAX)) == 0);
    }
}

static void view(struct input *input)
{
    struct id_view cpu, guest;
    for (uint32_t row = 0; row < ID_ROWS; row++)
        for (uint32_t column = 0; column < ID_COLUMNS; column++)
            cpu.value[row][column] = input_64(input);
    id_view_make(&cpu, &guest);
    for (uint32_t column = 0; column < ID_COLUMNS; column++) /* no field is more than the CPU has */
        for (uint32_t shift = 0; shift < 64; shift += 4)
            for (uint32_t row = 5; row < ID_ROWS; row++)
                HOLDS((guest.value[row][column] >> shift & 15) <=
                      (cpu.value[row][column] >> shift & 15));
}

/* ---- the guest ---- */

/* After each step: loops without a way out are quick. */
static void check_page(void)
{
    uint32_t astray = 0, foreign = 0;
    for (uint32_t i = 0; i < QUOLL_VM_SPIS; i++)
        astray += page.target[i] >= vcpus && page.target[i] != UINT8_MAX;
    for (uint32_t i = vcpus; i < MOST_VCPUS; i++)
        foreign |= page.vcpu[i].enabled | page.vcpu[i].pending | page.vcpu[i].group1;
    HOLDS(astray == 0 && foreign == 0);
    HOLDS((vgic.control & ~3u) == 0);
}

/* What a store must do to the page, interrupt by interrupt (IHI 0069, 12.9 and 12.11); everything else stays. */

static void set_bit(void *words, uint32_t n, bool value)
{
    uint8_t *byte = (uint8_t *)words + n / 8;
    *byte = (uint8_t)((*byte & ~(1u << n % 8)) | (uint32_t)value << n % 8);
}

static void expect_bits(struct quoll_vm_interrupts *expected, uint32_t vcpu, uint32_t offset,
                        uint32_t value)
{
    for (uint32_t i = 0; i < 32; i++) {
        uint32_t intid = offset % 0x80 * 8 + i, n = vcpu == MOST_VCPUS ? intid - 32 : intid;
        if (n >= (vcpu == MOST_VCPUS ? QUOLL_VM_SPIS : 32))
            continue;
        struct quoll_vcpu_interrupts *own = &expected->vcpu[vcpu % MOST_VCPUS];
        bool all = vcpu == MOST_VCPUS, given = value >> i & 1;
        void *group1 = all ? (void *)expected->group1 : &own->group1;
        void *enabled = all ? (void *)expected->enabled : &own->enabled;
        void *pending = all ? (void *)expected->pending : &own->pending;
        switch (offset & ~0x7fu) {
        case 0x080:
            set_bit(group1, n, given);
            break;
        case 0x100:
        case 0x180:
            if (given)
                set_bit(enabled, n, (offset & 0x80) == 0);
            break;
        case 0x200:
        case 0x280:
            if (given)
                set_bit(pending, n, (offset & 0x80) == 0);
            break;
        default:
            break;
        }
    }
}

static void expect_priorities(struct quoll_vm_interrupts *expected, uint32_t vcpu, uint32_t offset,
                              uint64_t value, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++) {
        uint32_t intid = offset - 0x400 + i;
        uint8_t priority = (uint8_t)(value >> 8 * i) & 0xf8;
        if (vcpu == MOST_VCPUS && intid - 32 < QUOLL_VM_SPIS)
            expected->priority[intid - 32] = priority;
        else if (vcpu != MOST_VCPUS && intid < 32)
            expected->vcpu[vcpu].priority[intid] = priority;
    }
}

static void expect_route(struct quoll_vm_interrupts *expected, uint32_t offset, uint64_t value)
{
    uint32_t spi = (offset - 0x6000) / 8 - 32;
    uint64_t affinity = value & ~(UINT64_C(1) << 31);
    if (spi < QUOLL_VM_SPIS && offset % 8 == 0)
        expected->target[spi] = value >> 31 & 1    ? 0
                                : affinity < vcpus ? (uint8_t)affinity
                                                   : UINT8_MAX;
}

/* vcpu MOST_VCPUS: the distributor; else its SGI frame. */
static void expect(struct quoll_vm_interrupts *expected, uint32_t vcpu, uint32_t offset,
                   uint64_t value, uint32_t size)
{
    bool distributor = vcpu == MOST_VCPUS;
    if (distributor && offset >= 0x6000 && offset < 0x6000 + 8 * 288) {
        if (size >= 4)
            expect_route(expected, offset, value);
    } else if (size == 8) {
        expect(expected, vcpu, offset, value & UINT32_MAX, 4);
        expect(expected, vcpu, offset + 4, value >> 32, 4);
    } else if (distributor && offset == 0 && size == 4) {
        expected->distributor_enabled = value >> 1 & 1;
    } else if (offset >= 0x80 && offset < 0x300 && size == 4) {
        expect_bits(expected, vcpu, offset, (uint32_t)value);
    } else if (offset >= 0x400 && offset < 0x800 && (size == 4 || size == 1)) {
        expect_priorities(expected, vcpu, offset, value, size);
    }
}

static void access_registers(struct input *input, uint8_t choice)
{
    static struct quoll_vm_interrupts expected;
    struct access access = {.size = 1u << (choice >> 2 & 3), .write = choice >> 4 & 1};
    uint32_t stride = choice >> 5;
    bool distributor = (choice & 3) == 0;
    uint64_t place = distributor ? 0 : (input_8(input) % (vcpus + 1)) * VIRT_GICR_STRIDE;
    if ((choice & 3) >= 2)
        place += 0x10000;
    access.address =
        place + (stride < 4 ? input_8(input) * 4u + (stride * 0x400u) : input_16(input));
    uint64_t end = distributor ? VIRT_GICD_SIZE : (vcpus + 1) * VIRT_GICR_STRIDE;
    access.address = access.address % end & ~(uint64_t)(access.size - 1);
    if (access.write)
        access.value = input_number(input, access.size);
    uint32_t vcpu = (uint32_t)(access.address / VIRT_GICR_STRIDE);
    uint32_t offset = (uint32_t)(access.address % VIRT_GICR_STRIDE);
    memcpy(&expected, &page, sizeof(page));
    if (distributor && access.write)
        expect(&expected, MOST_VCPUS, (uint32_t)access.address, access.value, access.size);
    else if (access.write && vcpu < vcpus && offset >= 0x10000)
        expect(&expected, vcpu, offset - 0x10000, access.value, access.size);
    (distributor ? vgic_distributor : vgic_redistributor)(&vgic, &access);
    HOLDS(memcmp(&expected, &page, sizeof(page)) == 0);
    HOLDS(access.write || access.size == 8 || access.value >> 8 * access.size == 0);
}

static void device_line(struct input *input)
{
    uint32_t spi = input_8(input);
    bool asserted = input_8(input) & 1, was = bit(page.level, spi);
    uint32_t looks = calls.looks;
    vgic_level(&vgic, 32 + spi, asserted);
    HOLDS(bit(page.level, spi) == asserted);
    bool due = asserted && !was && bit(page.enabled, spi);
    HOLDS(!due || calls.looks == looks + 1);
    vgic_pulse(&vgic, 32 + spi);
}

/* What a hostile VMM leaves in the page: anything, much of it deliverable. */
static void fill_page(const uint8_t *bytes, size_t size)
{
    uint64_t number = 0x9e3779b97f4a7c15;
    for (size_t i = 0; i < size; i++)
        number = (number ^ bytes[i]) * 0x100000001b3;
    for (size_t at = 0; at + 8 <= sizeof(page); at += 8) {
        number ^= number << 13, number ^= number >> 7, number ^= number << 17;
        memcpy((uint8_t *)&page + at, &number, 8);
    }
    bool sparse = number & 1;
    for (uint32_t i = 0; i < QUOLL_VM_SPIS / 64 && sparse; i++)
        page.pending[i] &= page.pending[(i + 1) % 4] & page.priority[i], page.level[i] = 0;
    for (uint32_t i = 0; i < QUOLL_VM_SPIS; i++) {
        page.priority[i] &= 0x38;
        page.target[i] %= MOST_VCPUS + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = input_of(bytes, size);
    vcpus = input_8(&input) % MOST_VCPUS + 1;
    vgic_start(&vgic, &page, 0, vcpus);
    while (input_more(&input)) {
        uint8_t choice = input_8(&input);
        if ((choice & 0x1f) == 0x1f)
            decode(&input);
        else if ((choice & 0x1f) == 0x0f)
            device_line(&input);
        else if ((choice & 0x1f) == 0x07)
            choose(&input);
        else if (choice == 0x03)
            vgic_reset(&vgic);
        else if (choice == 0x13)
            view(&input);
        else
            access_registers(&input, choice);
        check_page();
    }
    fill_page(bytes, size);
    struct input again = input_of(bytes, size);
    choose(&again);
    return 0;
}
