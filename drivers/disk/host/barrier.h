/* The contract of aarch64/barrier.h for tests on the host, where the device is another thread or the test itself. */
#ifndef DISK_BARRIER_H
#define DISK_BARRIER_H

static inline void barrier_before_doorbell(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static inline void barrier_after_flag(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

#endif
