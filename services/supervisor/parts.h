/*
 * The parts of the system that are restarted when they fail: drivers, volume services, RapiLogs, VMMs and whatever the
 * description says.
 *
 * A restart brings all threads of a component back to their entry points with its data as it was at boot; what regions hold
 * stays. The component's peers hear of it through their links only. A part that fails more than PARTS_MOST_RESTARTS times
 * within a minute is given up. For tests, a description can have parts killed at set times: they are restarted in the
 * middle of whatever they do, which does not count as a failure.
 */
#ifndef SUPERVISOR_PARTS_H
#define SUPERVISOR_PARTS_H

#include <quoll/config.h>
#include <stdbool.h>

#define PARTS_MOST_RESTARTS 8u

struct part {
    char name[QUOLL_NAME_SIZE];
    uint32_t number, thread_count;
    uint32_t vm, drain; /* as in the configuration */
    uint64_t fault;     /* signal */
    uint64_t life;
    uint64_t failed[PARTS_MOST_RESTARTS]; /* counter values of the last failures, a ring */
    uint32_t failures;
    bool down; /* it has failed and was not restarted yet */
    bool given_up;
    uint32_t kills, kills_done;
    uint64_t kill_at, kill_every; /* counter values; at: QUOLL_NEVER: no more */
};

/* Stops the component when the configuration is impossible. */
void parts_start(const struct supervisor_config *config);
uint32_t parts_count(void);
struct part *part_number(uint32_t number);
/* After a fault: restarts it; false: it fails too often and is given up, or was so already. */
bool part_failed(struct part *part);
/* Kills it if a test wants that now; it is then restarted. spare: instead, when that cannot be: later. */
bool part_killed(struct part *part);
void part_spare(struct part *part);
/* When the next kill is due: counter value, QUOLL_NEVER: none is. */
uint64_t parts_next_kill(void);

#endif
