/* See hostile.h. */
#define _GNU_SOURCE
#include "hostile.h"
#include <sys/mman.h>

#define GUARD (UINT64_C(16) << 20)
#define RECENT 8u
#define NO_MORE 0xffu

enum change_kind { KIND_WIDTH = 3, KIND_ABSOLUTE = 4, KIND_XOR = 8, KIND_RECENT_SHIFT = 4 };

static struct {
    uint8_t *area[HOSTILE_AREAS];
    size_t size[HOSTILE_AREAS];
    uint32_t areas;
    uint32_t gap; /* NO_MORE: nothing will change */
    uint32_t reads;
    uint8_t *recent[RECENT];
    struct input changes;
    uint32_t life; /* reads that are left of it, 0: it does not end */
    jmp_buf *next_life;
} hostile;

/* From the first byte of the lowest area to the last of the highest, while anything may happen: most reads are elsewhere. */
static struct {
    uintptr_t begin, size;
} watched;

void __sanitizer_cov_load1(uint8_t *address);
void __sanitizer_cov_load2(uint16_t *address);
void __sanitizer_cov_load4(uint32_t *address);
void __sanitizer_cov_load8(uint64_t *address);
void __sanitizer_cov_load16(__uint128_t *address);
void *hostile_copy(void *to, const void *from, size_t size);
void *hostile_move(void *to, const void *from, size_t size);
int hostile_compare(const void *a, const void *b, size_t size);

uint8_t *hostile_allocate(size_t size)
{
    size_t whole = (size + 4095) & ~(size_t)4095;
    uint8_t *all = mmap(NULL, whole + 2 * GUARD, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED || mprotect(all + GUARD, whole, PROT_READ | PROT_WRITE) != 0)
        abort();
    return all + GUARD;
}

static void next_gap(void)
{
    hostile.gap = input_more(&hostile.changes) ? input_8(&hostile.changes) : NO_MORE;
}

void hostile_begin(struct input changes)
{
    hostile.areas = 0;
    hostile.reads = 0;
    hostile.life = 0;
    watched.size = 0;
    memset(hostile.recent, 0, sizeof(hostile.recent));
    hostile.changes = changes;
    next_gap();
}

void hostile_area(uint8_t *bytes, size_t size)
{
    HOLDS(hostile.areas < HOSTILE_AREAS);
    hostile.area[hostile.areas] = bytes;
    hostile.size[hostile.areas++] = size;
    hostile_resume();
}

void hostile_pause(void)
{
    watched.size = 0;
}

void hostile_resume(void)
{
    uintptr_t begin = UINTPTR_MAX, end = 0;
    for (uint32_t i = 0; i < hostile.areas; i++) {
        uintptr_t first = (uintptr_t)hostile.area[i], last = first + hostile.size[i];
        begin = first < begin ? first : begin;
        end = last > end ? last : end;
    }
    bool quiet = hostile.gap == NO_MORE && hostile.life == 0;
    watched.begin = begin;
    watched.size = quiet || hostile.areas == 0 ? 0 : end - begin;
}

void hostile_ends_life(uint32_t reads, jmp_buf *next_life)
{
    hostile.life = reads;
    hostile.next_life = next_life;
    hostile_resume();
}

/* The area that holds the address, or HOSTILE_AREAS. */
static inline uint32_t find_area(const uint8_t *address)
{
    for (uint32_t i = 0; i < hostile.areas; i++)
        if ((size_t)(address - hostile.area[i]) < hostile.size[i])
            return i;
    return HOSTILE_AREAS;
}

static void change(uint32_t area)
{
    uint8_t kind = input_8(&hostile.changes);
    size_t width = (size_t)1 << (kind & KIND_WIDTH), size = hostile.size[area];
    uint32_t back = kind >> KIND_RECENT_SHIFT & (RECENT - 1);
    uint8_t *place = hostile.recent[(hostile.reads - 1 - back) % RECENT];
    if (kind & KIND_ABSOLUTE)
        place = hostile.area[area] + input_16(&hostile.changes) % size;
    uint64_t value = input_number(&hostile.changes, (unsigned)width);
    if (place == NULL || (area = find_area(place)) == HOSTILE_AREAS)
        return;
    size_t left = hostile.size[area] - (size_t)(place - hostile.area[area]);
    for (size_t i = 0; i < width && i < left; i++)
        place[i] = (uint8_t)((kind & KIND_XOR ? place[i] : 0) ^ (uint8_t)(value >> 8 * i));
}

static void read_watched(uint8_t *address)
{
    uint32_t area = find_area(address);
    if (area == HOSTILE_AREAS)
        return;
    hostile.recent[hostile.reads++ % RECENT] = address;
    if (hostile.life != 0 && --hostile.life == 0) {
        hostile_resume();
        longjmp(*hostile.next_life, 1);
    }
    if (hostile.gap == NO_MORE || hostile.gap-- != 0)
        return;
    change(area);
    next_gap();
    hostile_resume();
}

static inline void reads(uint8_t *address)
{
    if (__builtin_expect((uintptr_t)address - watched.begin < watched.size, false))
        read_watched(address);
}

void __sanitizer_cov_load1(uint8_t *address)
{
    reads(address);
}
void __sanitizer_cov_load2(uint16_t *address)
{
    reads((uint8_t *)address);
}
void __sanitizer_cov_load4(uint32_t *address)
{
    reads((uint8_t *)address);
}
void __sanitizer_cov_load8(uint64_t *address)
{
    reads((uint8_t *)address);
}
void __sanitizer_cov_load16(__uint128_t *address)
{
    reads((uint8_t *)address);
}

/* In two halves, between which the memory may change. */
void *hostile_copy(void *to, const void *from, size_t size)
{
    size_t half = size / 2;
    reads((uint8_t *)from);
    if (half != 0) {
        memcpy(to, from, half);
        reads((uint8_t *)from + half);
    }
    memcpy((uint8_t *)to + half, (const uint8_t *)from + half, size - half);
    return to;
}

void *hostile_move(void *to, const void *from, size_t size)
{
    reads((uint8_t *)from);
    return memmove(to, from, size);
}

int hostile_compare(const void *a, const void *b, size_t size)
{
    reads((uint8_t *)a);
    reads((uint8_t *)b);
    return memcmp(a, b, size);
}
