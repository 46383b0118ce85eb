/* CRC-32C by table, for machines whose own instruction is not used; see checksum.h. */
#include "checksum.h"

uint32_t checksum(uint32_t before, const void *bytes, size_t size)
{
    static const uint32_t of_half_byte[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    const uint8_t *byte = bytes;
    uint32_t sum = ~before;
    /*@ loop invariant i <= size;
        loop assigns i, sum;
        loop variant size - i; */
    for (size_t i = 0; i < size; i++) {
        sum ^= byte[i];
        sum = sum >> 4 ^ of_half_byte[sum & 15];
        sum = sum >> 4 ^ of_half_byte[sum & 15];
    }
    return ~sum;
}
