/*
 * Wake-ups across cores: kernel/signal.c, kernel/call.c (wait, vcpu_run), kernel/arch/aarch64/{trap,vcpu,gic}.c.
 *
 * One target core with two threads: a component in wait(), and a VMM in vcpu_run() whose guest sleeps in WFI. On other
 * cores two senders raise signals and guest interrupts; with -DSUPERVISOR one of them suspends and resumes a thread instead. Each step of this
 * model is one access to memory that cores share, in the order in which the C code makes it; what only the target
 * core touches happens inside a step. The C code uses sequentially consistent atomics for all of these words, so
 * interleaving the steps is all that the memory can do; the mistakes LOOK_LATE and IPI_EARLY below are what weaker orders would add.
 *
 * Shown: in every interleaving each thread gets every signal and each guest every interrupt (a lost wake-up is a core that
 * sleeps for ever, which Spin reports as an invalid end state), and nothing is delivered that was not sent.
 *
 * Mistakes that can be planted, each of which Spin must find:
 *   -DLOST_WAKEUP     the inbox is emptied after the threads were looked at
 *   -DACK_LATE        the IPI is acknowledged after the inbox was emptied
 *   -DPLAIN_TAKE      pending signals are taken by a load and a store, not by an exchange
 *   -DIPI_EARLY       the IPI overtakes the inbox bit (no barrier before it)
 *   -DLOOK_LATE       the store to `look` is seen only after the IPI (not sequentially consistent)
 *   -DCLEAR_LOOK_LATE `look` is cleared after the interrupt page was read
 *   -DSLEEP_UNMASKED  interrupts are open between the decision to sleep and WFI
 *   -DNO_GUEST_CHECK  a guest's WFI blocks without asking for interrupts
 *   -DKEEP_SUSPENDED  a signal wakes a suspended thread by its state only, and resume does not look again
 */
#define COMPONENT 0 /* thread in wait() */
#define VMM 1       /* thread in vcpu_run() */
#define THREADS 2

/* Shared between cores. */
byte pending[THREADS]; /* thread->pending */
byte request[THREADS]; /* thread->request: SUSPEND, RESUME */
byte inbox;            /* core->inbox */
bool ipi;              /* the SGI is pending in the target's redistributor */
bool look;             /* vcpu->look */
byte page;             /* pending interrupts in the VM's interrupt page */
byte sent[THREADS], raised; /* signals and interrupts so far; for the check only */

#define SUSPEND 1
#define RESUME 2

/* The target core's own. */
bool blocked[THREADS];   /* thread->state == THREAD_BLOCKED */
bool suspended[THREADS]; /* thread->suspended */
bool queued[THREADS];    /* thread->queued */
bool in_guest;           /* of VMM: thread->in_guest */
byte list;               /* interrupts in list registers */
byte got[THREADS], guest_got;

/* sched_refresh() */
inline refresh(t)
{
    queued[t] = !blocked[t] && !suspended[t]
}

/* atomic_exchange(&thread->pending, 0) */
inline take(t, to)
{
#ifdef PLAIN_TAKE
    to = pending[t];
    pending[t] = 0;
#else
    d_step {
        to = pending[t];
        pending[t] = 0
    }
#endif
}

/* ---- Senders ---- */

/* thread_poke(), of a thread on another core */
inline poke(t, was)
{
#ifdef IPI_EARLY
    ipi = true;
    inbox = inbox | (1 << t);
#else
    d_step { /* atomic_fetch_or(&core->inbox) */
        was = inbox;
        inbox = inbox | (1 << t)
    }
    if
    :: atomic { was == 0 -> ipi = true } /* arch_ipi_send() */
    :: else
    fi
#endif
}

/* signal_raise() */
inline raise(t, bits, was)
{
    d_step { /* atomic_fetch_or(&thread->pending) */
        was = pending[t];
        pending[t] = pending[t] | bits;
        sent[t] = sent[t] | bits
    }
    if
    :: (was & bits) != bits -> poke(t, was)
    :: else
    fi;
    was = 0
}

/* vm_interrupt(), vcpu_poke() */
inline interrupt(bits, was)
{
    atomic { /* __atomic_fetch_or */
        page = page | bits;
        raised = raised | bits
    }
#ifndef LOOK_LATE
    look = true;
#endif
    poke(VMM, was);
#ifdef LOOK_LATE
    look = true;
#endif
    was = 0
}

active proctype sender_0()
{
    byte was;
    raise(COMPONENT, 1, was);
    interrupt(1, was);
    raise(VMM, 1, was)
}

#ifndef SUPERVISOR
active proctype sender_1()
{
    byte was;
    raise(COMPONENT, 2, was);
    interrupt(2, was)
}
#else
/* call_thread_control(), twice */
active proctype supervisor()
{
    byte was;
    request[COMPONENT] = request[COMPONENT] & ~(SUSPEND | RESUME);
    request[COMPONENT] = request[COMPONENT] | SUSPEND;
    poke(COMPONENT, was);
    request[COMPONENT] = request[COMPONENT] & ~(SUSPEND | RESUME);
    request[COMPONENT] = request[COMPONENT] | RESUME;
    poke(COMPONENT, was)
}
#endif

/* ---- The target core ---- */

/* thread_look() */
inline thread_look(t)
{
    if
    :: request[t] != 0 ->
        d_step { /* serve_requests(): atomic_exchange */
            bits = request[t];
            request[t] = 0;
            suspended[t] = ((bits & RESUME) -> false : ((bits & SUSPEND) -> true : suspended[t]));
#ifdef KEEP_SUSPENDED
            if
            :: bits & RESUME
            :: else -> refresh(t)
            fi
#else
            refresh(t)
#endif
        }
    :: else
    fi;
    if
    :: (blocked[t] || (t == VMM && in_guest)) && pending[t] != 0 ->
        take(t, bits); /* take_signals() */
        d_step {
            got[t] = got[t] | bits;
            in_guest = (t == VMM -> false : in_guest);
            blocked[t] = false;
            refresh(t)
        }
    :: else ->
        if
        :: blocked[t] && t == VMM && in_guest && (list | page) != 0 -> /* arch_vcpu_has_interrupt() */
            d_step {
                blocked[t] = false;
                refresh(t)
            }
        :: else
        fi
    fi
}

/* interrupt_serve(), inbox_serve() */
inline interrupt_serve()
{
#ifndef ACK_LATE
    ipi = false; /* gic_acknowledge() */
#endif
#ifdef LOST_WAKEUP
    box = inbox;
#else
    d_step { /* atomic_exchange(&core->inbox, 0) */
        box = inbox;
        inbox = 0
    }
#endif
#ifdef ACK_LATE
    ipi = false;
#endif
    do
    :: box & 1 -> thread_look(COMPONENT); atomic { box = box & ~1; bits = 0 }
    :: (box & 3) == 2 -> thread_look(VMM); atomic { box = 0; bits = 0 }
    :: box == 0 -> break
    od;
#ifdef LOST_WAKEUP
    inbox = 0;
#endif
    skip
}

active proctype target()
{
    byte box, bits, last;
    d_step {
        queued[COMPONENT] = true;
        queued[VMM] = true
    }

choose: /* go_on(): sched_next(), with interrupts masked */
    if
    :: queued[COMPONENT] -> goto component
    :: queued[VMM] -> goto vmm
    :: !queued[COMPONENT] && !queued[VMM] -> goto idle
    fi;

idle: /* WFI ends with an interrupt pending, although masked */
#ifdef SLEEP_UNMASKED
    if
    :: ipi -> interrupt_serve()
    :: true
    fi;
    ipi;
    interrupt_serve();
    goto choose;
#else
end_idle:
    ipi;
    interrupt_serve();
    goto choose;
#endif

component: /* at EL0: interrupts are open */
    if
    :: ipi -> interrupt_serve()
    :: take(COMPONENT, bits); /* call_wait() */
       d_step {
           got[COMPONENT] = got[COMPONENT] | bits;
           blocked[COMPONENT] = bits == 0;
           refresh(COMPONENT);
           bits = 0
       }
    fi;
    goto choose;

vmm: /* at EL0, or its guest at EL1 */
    if
    :: !in_guest ->
        if
        :: ipi -> interrupt_serve()
        :: take(VMM, bits); /* call_vcpu_run() */
           d_step {
               got[VMM] = got[VMM] | bits;
               in_guest = bits == 0;
               bits = 0
           }
        fi
    :: in_guest ->
        if /* arch_thread_enter(): vgic_sync() moves interrupts from the page into list registers */
        :: look ->
#ifndef CLEAR_LOOK_LATE
            look = false;
#endif
            d_step {
                list = list | page;
                page = 0
            }
#ifdef CLEAR_LOOK_LATE
            look = false;
#endif
        :: !look
        fi;
        if
        :: ipi -> interrupt_serve()
        :: list != 0 -> /* the guest takes them */
           d_step {
               assert((guest_got & list) == 0);
               guest_got = guest_got | list;
               list = 0
           }
        :: list == 0 -> /* the guest computes for ever, until it is interrupted */
end_busy:
           if
           :: ipi -> interrupt_serve()
           :: queued[COMPONENT] /* the end of its time slice */
           fi
        :: true -> /* WFI traps, perhaps with interrupts masked: wait_for_interrupt() */
#ifdef NO_GUEST_CHECK
           bits = 0;
#else
           bits = list | page; /* vgic_has_interrupt() */
#endif
           if
           :: bits != 0 -> look = true
           :: else -> d_step {
                  blocked[VMM] = true; /* GUEST_IDLE: sched_block() */
                  refresh(VMM)
              }
           fi;
           bits = 0
        fi
    fi;
    goto choose
}

/* Nothing can happen any more: the senders are done, the core sleeps, no IPI is on its way. Everybody must have everything. */
active proctype witness()
{
    timeout ->
    assert(got[COMPONENT] == sent[COMPONENT] && got[VMM] == sent[VMM]);
    assert(guest_got == raised);
    assert(!suspended[COMPONENT])
}
