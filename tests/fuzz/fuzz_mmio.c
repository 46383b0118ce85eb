/*
 * A hostile guest's loads and stores to emulated devices: decoding of addresses, virtio slots, UART and clock, with every size
 * and at every offset; some of it by a vCPU's own thread, as in vcpu.c.
 *
 * What must hold: no access reaches outside a device's state; a load of N bytes gives no more than the register holds (32 bits outside
 * of the configuration space); what is not there is refused; FIFOs hold no more than they can.
 *
 * Input: byte 0: disks, bit 7: no console stream; then steps: choice, address, value.
 */
#include "calls.h"
#include "hostile.h"
#include "vm.h"

static struct vm vm;
static struct vmm_config config;
static struct quoll_vm_interrupts interrupts;
static struct stream_link link_memory;
static struct stream_end service;
static struct block_link disk_link[VMM_MAX_DISKS];
static uint8_t *ram;

static void start(uint8_t choice)
{
    if (ram == NULL)
        ram = hostile_allocate(4096);
    memset(&vm, 0, offsetof(struct vm, disk));
    memset(&link_memory, 0, sizeof(link_memory));
    memset(&calls, 0, sizeof(calls));
    vm.config = &config;
    config.boot_time = 1700000000;
    vm.disk_count = choice & 3;
    vm.ram = (struct guest_ram){ram, 4096};
    (void)survival_find(&vm);
    vgic_start(&vm.survival->vgic, &interrupts, 0, 1);
    vm.console.open = (choice & 0x80) == 0;
    stream_attach(&vm.console.stream, &link_memory, false, 0);
    stream_attach(&service, &link_memory, true, 0);
    for (uint32_t i = 0; i < vm.disk_count; i++) {
        memset(&vm.disk[i], 0, offsetof(struct virtio_block, data.request));
        disk_link[i].state = BLOCK_LINK_FAILED;
        block_client_attach(&vm.link[i], &disk_link[i], 0, 0);
    }
    devices_start(&vm);
    devices_reset(&vm);
}

static void check_loaded(const struct access *access, uint64_t address)
{
    bool configuration = address - VIRT_VIRTIO < VIRT_VIRTIO_SLOTS * VIRT_VIRTIO_STRIDE &&
                         address % VIRT_VIRTIO_STRIDE >= 0x100;
    HOLDS(configuration || access->value <= UINT32_MAX);
    HOLDS(access->size == 8 || !configuration || access->value >> 8 * access->size == 0);
}

static void check_uart(void)
{
    HOLDS(vm.uart.received <= PL011_FIFO && vm.uart.held <= PL011_FIFO);
    HOLDS(vm.uart.receive_first < PL011_FIFO);
    HOLDS(((interrupts.level[0] >> VIRT_PL011_SPI & 1) != 0) ==
          ((vm.uart.raw & vm.uart.mask) != 0));
}

static uint64_t take_address(struct input *input, uint8_t choice)
{
    static const uint64_t base[] = {VIRT_PL011, VIRT_PL031, VIRT_VIRTIO,
                                    VIRT_VIRTIO + VMM_SLOT_DISK * VIRT_VIRTIO_STRIDE};
    uint8_t which = choice >> 4 & 7;
    uint64_t offset = which & 4 ? input_8(input) * 4u : input_16(input);
    return which == 3 ? input_64(input) : base[which & 3] + offset;
}

static void guest_step(struct input *input, uint8_t choice)
{
    struct access access = {take_address(input, choice), 0, 1u << (choice & 3), choice >> 3 & 1};
    uint64_t address = access.address;
    if (access.write)
        access.value = input_number(input, access.size);
    uint64_t offset = address - VIRT_PL011;
    if (offset < VIRT_DEVICE_SIZE) {
        struct access hot = {offset, access.value, access.size, access.write};
        if (pl011_hot(&vm.uart, &hot)) {
            HOLDS(hot.value == vm.uart.flags);
            return;
        }
    }
    bool served = devices_access(&vm, &access);
    bool exists = address - VIRT_PL011 < VIRT_DEVICE_SIZE ||
                  address - VIRT_PL031 < VIRT_DEVICE_SIZE ||
                  address - VIRT_VIRTIO < VIRT_VIRTIO_SLOTS * VIRT_VIRTIO_STRIDE;
    HOLDS(served == exists);
    if (served && !access.write)
        check_loaded(&access, address);
}

static void other_step(struct input *input)
{
    uint8_t choice = input_8(input), bytes[64] = {0};
    switch (choice & 7) {
    case 0:
        stream_write(&service, bytes, choice >> 3);
        break;
    case 1:
        stream_read(&service, bytes, choice >> 3);
        break;
    case 2:
        devices_move_console(&vm);
        break;
    case 3:
        devices_console_may_sleep(&vm);
        break;
    case 4:
        calls.now += input_32(input);
        break;
    case 5:
        devices_reset(&vm);
        HOLDS(vm.uart.held == 0 && vm.clock.raw == 0);
        break;
    case 6:
        vm.console.stream.out.mine +=
            stream_space(&vm.console.stream); /* the service is slow: full */
        quoll_ring_publish(&vm.console.stream.out);
        break;
    default:
        HOLDS(devices_are_quiet(&vm));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = input_of(bytes, size);
    start(input_8(&input));
    while (input_more(&input)) {
        uint8_t choice = input_8(&input);
        if (choice & 0x80)
            other_step(&input);
        else
            guest_step(&input, choice);
        check_uart();
    }
    return 0;
}
