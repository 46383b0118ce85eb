/* Ranges of physical addresses; see ranges.h. */
#include "ranges.h"

bool ranges_overlap(const struct devicetree_range *a, const struct devicetree_range *b)
{
    if (a->size == 0 || b->size == 0)
        return false;
    //@ assert a->base <= b->base < a->base + a->size ==> overlap(a, b);
    //@ assert b->base <= a->base < b->base + b->size ==> overlap(a, b);
    return a->base <= b->base ? b->base - a->base < a->size : a->base - b->base < b->size;
}

bool ranges_clear(const struct devicetree_range *one, const struct devicetree_range *range,
                  uint32_t count)
{
    /*@ loop invariant 0 <= i <= count && clear(one, range, i);
        loop assigns i;
        loop variant count - i; */
    for (uint32_t i = 0; i < count; i++) {
        if (ranges_overlap(one, &range[i]))
            return false;
    }
    return true;
}

bool ranges_apart(const struct devicetree_range *range, uint32_t count)
{
    /*@ loop invariant 0 <= i <= count && apart(range, i);
        loop assigns i;
        loop variant count - i; */
    for (uint32_t i = 0; i < count; i++) {
        if (!ranges_clear(&range[i], range, i))
            return false;
    }
    return true;
}
