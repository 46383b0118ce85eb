/*
 * RapiLog's protocol: acknowledge, hold, coalesce, drain, flush, fail, lose mains. services/rapilog/; each step names the C
 * function that does it.
 *
 * A client writes to two blocks, one write at a time. The contents of a block are the number of the write that put them
 * there, 0 at first, so "newer" is "greater". The engine (one thread in C) is a process whose steps are atomic; the disk
 * is another: what it was given it may put into its cache, and from there on stable storage, at any time and in any
 * order; only a FLUSH forces it to. The guest may crash at any time, a number of disk commands may fail, mains may be
 * lost at any time, within the hold-up time (the engine drains to the end) or beyond (the machine stops at any instant).
 *
 * Modes: (none)     held: epochs of one volume, the next one written while the former is flushed
 *        -DSTRICT   held with strict_order: an epoch is flushed before the next one is written
 *        -DORDERED  held ordered (journal.c, dumping.c, replay.c): the two blocks may lie on different volumes; an epoch goes to a
 *                   dump area first, and in place when it is flushed there
 *
 * Shown, for every interleaving:
 *   no acknowledged loss   what was acknowledged is in the buffer or on stable storage, at every instant; when the engine
 *                          says "drained", on stable storage
 *   reads                  return the newest acknowledged version, or a newer one, also after a crash of the guest
 *   bound                  never more promised slots than the bound
 *   STRICT                 at every instant the disk holds all epochs up to some k and a part of epoch k + 1, nothing later,
 *                          as long as it has refused nothing: what it refuses is written again later than what came after
 *   ORDERED                at every instant the disk, after recovery, holds a prefix of the acknowledged history: all
 *                          writes up to some number, none after it
 *   no deadlock            once mains is lost and the disk works, the drain ends
 *
 * Mistakes that can be planted, each of which Spin must find:
 *   -DACK_BEFORE_COPY    the write is answered before its bytes are taken
 *   -DANSWER_AFTER_MAINS a write whose unpromised bytes were dropped on loss of mains is answered as written
 *   -DFORGET_FLUSH       a written epoch is freed without a FLUSH
 *   -DFLUSH_EARLY        the FLUSH is sent before all runs were answered
 *   -DCHANGE_DRAINING    a write goes into a slot that is being drained
 *   -DTWO_WRITING        an epoch is sealed while another one is being written
 *   -DIGNORE_ERROR       a refused run counts as written
 *   -DKEEP_NEXT_EPOCH    a FLUSH that failed does not count against the epoch that is being written
 *   -DOLD_OVER_NEW       a refused slot comes back over the newer version
 *   -DPROMISE_FAILING    writes are acknowledged from memory beyond the bound
 *   -DREAD_OLDEST        a read takes a block's oldest slot
 *   -DDRAIN_OUT_OF_ORDER strict: the next epoch is written while the former is flushed; ordered: in place before the dump
 *                        area was flushed
 *   -DDUMP_REUSED_EARLY  ordered: the dump area is overwritten before the epoch was flushed in place
 *   -DFORGET_DUMP_FLUSH  ordered: in place before the dump area was flushed, because its FLUSH is forgotten
 *   -DLOG_FIRST          ordered: no dump area, but an epoch's log block (0) is flushed before its data block (1) is
 *                        written: a log record that says that data is on the disk can then be there before the data
 */
#ifndef WRITES
#define WRITES 4
#endif
#ifndef ERRORS
#define ERRORS 1
#endif
#define BLOCKS 2
#ifndef BOUND
#define BOUND 2 /* slots that may be promised; 2 blocks with up to 3 slots each */
#endif

#if defined(ORDERED) || (defined(STRICT) && !defined(DRAIN_OUT_OF_ORDER))
#define ONE_EPOCH /* engine_setup.strict_order */
#endif

/* The history, and what the client was told. */
byte written;              /* number of the newest write */
byte block_of[WRITES + 1]; /* of each write */
#ifdef STRICT
byte epoch_of[WRITES + 1]; /* that it was sealed in; for the check */
byte epochs;
#define NOTE_EPOCH(n) epoch_of[n] = epochs
#define COUNT_EPOCH epochs++
#else
#define NOTE_EPOCH(n) skip
#define COUNT_EPOCH skip
#endif
byte acknowledged[BLOCKS]; /* newest acknowledged write */

/* The link to the client. */
byte asked;      /* number of a write that waits to be taken, 0: none */
byte unanswered; /* number of a write that was taken and is not answered yet */

/* The buffer: per block at most one DIRTY slot, one in the writing epoch, one in the flushing epoch. */
byte dirty[BLOCKS], writing[BLOCKS], flushing[BLOCKS]; /* version; 0: no slot */
bool dirty_promised[BLOCKS], writing_promised[BLOCKS], flushing_promised[BLOCKS];
bool writing_failed[BLOCKS], flushing_failed[BLOCKS]; /* slot->failed */
bool todo[BLOCKS];                                    /* slot->todo */
bool is_writing, is_flushing, flush_sent, failing;

/* The disk. */
byte in_flight[BLOCKS]; /* runs */
byte cache[BLOCKS];     /* newest version that the disk has */
byte stable[BLOCKS];    /* what would be there after the next power-on */
byte covered[BLOCKS];   /* what the FLUSH in flight covers */
byte errors;

#ifdef ORDERED
#define HEADER BLOCKS
/* The dump area: a piece per block and a header that lists the epoch's pieces, with checksums. */
byte dump_cache[BLOCKS], dump_stable[BLOCKS];
byte header_cache[BLOCKS], header_stable[BLOCKS];
bool dump_todo[BLOCKS + 1];
/* journal_stage: TO_DUMP is WRITING and FLUSHING, IN_PLACE is DUMPED and, once placed, IDLE */
mtype = { TO_DUMP, IN_PLACE }
mtype step = IN_PLACE;
#endif

bool mains_lost, off, drained;

#define SLOTS                                                                                                          \
    ((dirty_promised[0] -> 1 : 0) + (dirty_promised[1] -> 1 : 0) + (writing_promised[0] -> 1 : 0) +                    \
     (writing_promised[1] -> 1 : 0) + (flushing_promised[0] -> 1 : 0) + (flushing_promised[1] -> 1 : 0))
#define NEWEST(b)                                                                                                      \
    (dirty[b] != 0 -> dirty[b] : (writing[b] != 0 -> writing[b] : (flushing[b] != 0 -> flushing[b] : cache[b])))
#define OLDEST(b)                                                                                                      \
    (flushing[b] != 0 -> flushing[b] : (writing[b] != 0 -> writing[b] : (dirty[b] != 0 -> dirty[b] : cache[b])))
#define HELD(b)                                                                                                        \
    ((dirty_promised[b] && dirty[b] >= acknowledged[b]) || (writing_promised[b] && writing[b] >= acknowledged[b]) ||   \
     (flushing_promised[b] && flushing[b] >= acknowledged[b]))
#define RUNS_DONE (!todo[0] && !todo[1] && in_flight[0] == 0 && in_flight[1] == 0)
#define NOTHING_PROMISED (SLOTS == 0)

/* ---- The guest and its VMM ---- */

active proctype client()
{
    byte b;
    do
    :: atomic {
           asked == 0 && unanswered == 0 && written < WRITES && !off;
           if
           :: b = 0
           :: b = 1
           fi;
           written++;
           block_of[written] = b;
           asked = written;
           b = 0
       }
    :: break /* it has written enough, or the guest crashes; what it was told stays true */
    od
}

/* ---- The engine ---- */

/* answer(), engine_port_complete(): nothing any more after engine_mains() */
#ifdef ANSWER_AFTER_MAINS
#define MAY_ANSWER true
#else
#define MAY_ANSWER (!mains_lost)
#endif
inline answer(n)
{
    acknowledged[block_of[n]] = (MAY_ANSWER -> n : acknowledged[block_of[n]])
}

/* take_write(), buffer_write(), write_block(): the copy into the block's DIRTY slot; a new slot within the bound only */
inline take(n, promise)
{
    dirty[block_of[n]] = n;
    dirty_promised[block_of[n]] = dirty_promised[block_of[n]] || promise
}

#ifdef PROMISE_FAILING
#define ALLOWED(b) true
#else
#define ALLOWED(b) (dirty_promised[b] || SLOTS < BOUND) /* bound_allows() */
#endif

/* seal_list(), add_to_epoch() */
inline seal(b)
{
    if
    :: dirty[b] != 0 ->
       writing[b] = dirty[b];
       writing_promised[b] = dirty_promised[b];
       writing_failed[b] = false;
       todo[b] = true;
       NOTE_EPOCH(dirty[b]);
       dirty[b] = 0;
       dirty_promised[b] = false
    :: else
    fi
}

#ifdef ORDERED
/* buffer_place_again(): the dump area keeps the epoch until all of it is in place. */
inline give_back(b)
{
    writing[b] = flushing[b];
    writing_promised[b] = flushing_promised[b];
    todo[b] = true;
    is_writing = true;
    failing = true
}
#else
/* leave_to_newer(), return_slot(): what is promised and in no newer slot is DIRTY again */
inline give_back(b)
{
#ifdef OLD_OVER_NEW
    dirty[b] = flushing[b];
    dirty_promised[b] = flushing_promised[b] || dirty_promised[b];
#else
    if
    :: flushing_promised[b] && dirty[b] != 0 -> dirty_promised[b] = true
    :: flushing_promised[b] && dirty[b] == 0 && writing[b] != 0 -> writing_promised[b] = true
    :: flushing_promised[b] && dirty[b] == 0 && writing[b] == 0 ->
       dirty[b] = flushing[b];
       dirty_promised[b] = true
    :: !flushing_promised[b] -> unanswered = (unanswered == flushing[b] -> 0 : unanswered) /* requests_refused() */
    fi;
#endif
    failing = true
}

#endif

/* buffer_flush_end(), slots_release() */
inline settle(b, ok)
{
    if
    :: flushing[b] != 0 && ok && !flushing_failed[b]
    :: flushing[b] != 0 && !(ok && !flushing_failed[b]) -> give_back(b)
    :: flushing[b] == 0
    fi;
    flushing[b] = 0;
    flushing_promised[b] = false;
    flushing_failed[b] = false;
    covered[b] = 0
}

/* drain_flush_done(), epoch_accepted(), requests_settle() */
inline flush_done(ok)
{
#ifndef KEEP_NEXT_EPOCH
    if /* buffer_cache_lost() */
    :: !ok && is_writing ->
       writing_failed[0] = true;
       writing_failed[1] = true
    :: else
    fi;
#endif
    failing = failing && dirty[0] + dirty[1] != 0; /* epoch_accepted() */
    settle(0, ok);
    settle(1, ok);
    is_flushing = false;
    flush_sent = false;
    if
    :: unanswered != 0 && dirty[block_of[unanswered]] != unanswered && writing[block_of[unanswered]] != unanswered ->
       answer(unanswered);
       unanswered = 0
    :: else
    fi
}

/* buffer_flush_begin() */
inline flush_begin(b)
{
    flushing[b] = writing[b];
    flushing_promised[b] = writing_promised[b];
    flushing_failed[b] = writing_failed[b];
    writing[b] = 0;
    writing_promised[b] = false;
    writing_failed[b] = false
}

inline run_send(b)
{
    in_flight[b] = writing[b];
    todo[b] = false
}

#ifdef ORDERED
#ifdef DRAIN_OUT_OF_ORDER
#define MAY_GO_IN_PLACE(b) true
#else
#ifdef LOG_FIRST
#define MAY_GO_IN_PLACE(b) (b == 0 || writing[0] == 0 || stable[0] == writing[0])
#else
#define MAY_GO_IN_PLACE(b) (step == IN_PLACE)
#endif
#endif
#else
#define MAY_GO_IN_PLACE(b) true
#endif

#ifdef FLUSH_EARLY
#define EPOCH_WRITTEN (!todo[0] && !todo[1])
#else
#define EPOCH_WRITTEN RUNS_DONE /* buffer_epoch_state() == BUFFER_EPOCH_WRITTEN */
#endif
#ifdef ONE_EPOCH
#define MAY_TAKE_SOME failing /* what was refused and what is new are sealed apart */
#else
#define MAY_TAKE_SOME true
#endif
#ifdef TWO_WRITING
#define MAY_SEAL true
#else
#if defined(ONE_EPOCH) && !defined(DUMP_REUSED_EARLY)
#define MAY_SEAL (!is_writing && !is_flushing)
#else
#define MAY_SEAL (!is_writing)
#endif
#endif

active proctype engine()
{
    do
    /* requests_step(), step_writes(): holding, so promised and answered at once. After engine_mains() nothing is taken. */
#ifdef ACK_BEFORE_COPY
    :: d_step {
           asked != 0 && unanswered == 0 && !mains_lost && !failing && ALLOWED(block_of[asked]);
           answer(asked);
           unanswered = asked
       }
    :: d_step {
           asked != 0 && unanswered == asked && !mains_lost;
           take(asked, true);
           unanswered = 0;
           asked = 0
       }
#else
    :: d_step {
           asked != 0 && !mains_lost && !failing && ALLOWED(block_of[asked]);
#ifdef CHANGE_DRAINING
           if
           :: writing[block_of[asked]] != 0 -> writing[block_of[asked]] = asked
           :: else -> take(asked, true)
           fi;
#else
           take(asked, true);
#endif
           answer(asked);
           asked = 0
       }
    /* The same while a disk error lasts: through, answered by requests_settle() */
    :: d_step {
           asked != 0 && unanswered == 0 && !mains_lost && failing;
           unanswered = asked;
           take(asked, false);
           asked = 0
       }
#endif
    /* step_seal(): buffer_seal() takes all, or when strict order is not asked for, the oldest; buffer_seal_failed() */
    :: atomic {
           MAY_SEAL && dirty[0] + dirty[1] != 0 && !off;
           COUNT_EPOCH;
#ifdef ORDERED /* step_idle(): seal_domain(), list_domain(), begin_dump() */
           d_step {
               dump_todo[0] = dirty[0] != 0;
               dump_todo[1] = dirty[1] != 0;
               dump_todo[HEADER] = true;
               step = TO_DUMP
           }
#endif
           if
           :: d_step {
                  seal(0);
                  seal(1)
              }
#ifndef ORDERED
           :: d_step { dirty[0] != 0 && MAY_TAKE_SOME; seal(0) }
           :: d_step { dirty[1] != 0 && MAY_TAKE_SOME; seal(1) }
#endif
           fi;
           is_writing = true
       }
    /* step_written() in an emergency: buffer_extend() */
#ifndef ONE_EPOCH
    :: d_step {
           mains_lost && is_writing && RUNS_DONE && dirty[0] + dirty[1] != 0 && !off;
           if
           :: dirty[0] != 0 && writing[0] == 0 -> seal(0)
           :: else
           fi;
           if
           :: dirty[1] != 0 && writing[1] == 0 -> seal(1)
           :: else
           fi
       }
#endif
    /* issue_runs(), buffer_next_run() */
    :: d_step {
           todo[0] && in_flight[0] == 0 && MAY_GO_IN_PLACE(0) && !off;
           run_send(0)
       }
    :: d_step {
           todo[1] && in_flight[1] == 0 && MAY_GO_IN_PLACE(1) && !off;
           run_send(1)
       }
    /* step_written(): buffer_flush_begin(), send_flush() */
    :: d_step {
           is_writing && !is_flushing && EPOCH_WRITTEN && !off;
           flush_begin(0);
           flush_begin(1);
           is_writing = false;
           is_flushing = true;
#ifdef FORGET_FLUSH
           flush_done(true)
#else
           flush_sent = true;
           covered[0] = cache[0];
           covered[1] = cache[1]
#endif
       }
    /* step_final(), step_drained(): promised_slots == 0, after a FLUSH */
    :: d_step {
           mains_lost && NOTHING_PROMISED && !off;
           assert(stable[0] >= acknowledged[0] && stable[1] >= acknowledged[1]);
           drained = true
       };
       break
    :: off -> break
    od
}

/* engine_mains(), buffer_hurry(): what is not promised is left out, which is the same as forgotten as long as the mains do
 * not come back (the crash-point test has that) */
inline forget(b)
{
    dirty[b] = (dirty_promised[b] -> dirty[b] : 0)
}

active proctype mains()
{
end_without_a_write:
    written > 0 || off;
    d_step {
        mains_lost = true;
        forget(0);
        forget(1)
    }
}

/* ---- The disk ---- */

/* A run arrives and is answered; the answer is an error at most ERRORS times, whether or not it arrived. */
inline run_done(b)
{
    if
    :: cache[b] = in_flight[b]
    :: errors < ERRORS ->
       errors++;
#ifndef IGNORE_ERROR
       writing_failed[b] = true /* engine_disk_done(), buffer_run_done() */
#endif
    :: errors < ERRORS ->
       errors++;
       cache[b] = in_flight[b];
#ifndef IGNORE_ERROR
       writing_failed[b] = true
#endif
    fi;
    in_flight[b] = 0
}

inline put_on_stable(b)
{
    stable[b] = (covered[b] > stable[b] -> covered[b] : stable[b])
}

active proctype disk()
{
    do
    :: atomic { !off && in_flight[0] != 0 -> run_done(0) }
    :: atomic { !off && in_flight[1] != 0 -> run_done(1) }
    /* of its own accord */
    :: d_step { !off && stable[0] != cache[0] -> stable[0] = cache[0] }
    :: d_step { !off && stable[1] != cache[1] -> stable[1] = cache[1] }
    :: atomic {
           !off && flush_sent;
           if
           :: d_step {
                  put_on_stable(0);
                  put_on_stable(1);
                  flush_done(true)
              }
           :: errors < ERRORS -> /* it may drop whatever it had taken */
              errors++;
              if
              :: cache[0] = stable[0]
              :: true
              fi;
              if
              :: cache[1] = stable[1]
              :: true
              fi;
              flush_done(false)
           fi
       }
#ifdef ORDERED
    /* issue_pieces(): data and descriptors, in any order. The dump area has no errors of its own here: one that fails is
     * written again, retry_dump(). */
    :: d_step { !off && dump_todo[0] -> dump_cache[0] = writing[0]; dump_todo[0] = false }
    :: d_step { !off && dump_todo[1] -> dump_cache[1] = writing[1]; dump_todo[1] = false }
    :: d_step {
           !off && dump_todo[HEADER];
           header_cache[0] = writing[0];
           header_cache[1] = writing[1];
           dump_todo[HEADER] = false
       }
    :: d_step { !off && dump_stable[0] != dump_cache[0] -> dump_stable[0] = dump_cache[0] }
    :: d_step { !off && dump_stable[1] != dump_cache[1] -> dump_stable[1] = dump_cache[1] }
    :: d_step {
           !off && (header_stable[0] != header_cache[0] || header_stable[1] != header_cache[1]);
           header_stable[0] = header_cache[0];
           header_stable[1] = header_cache[1]
       }
    :: d_step { /* FLUSH of the dump area: step_writing(), step_flushing() */
           !off && step == TO_DUMP && !dump_todo[0] && !dump_todo[1] && !dump_todo[HEADER];
#ifndef FORGET_DUMP_FLUSH
           dump_stable[0] = dump_cache[0];
           dump_stable[1] = dump_cache[1];
           header_stable[0] = header_cache[0];
           header_stable[1] = header_cache[1];
#endif
           step = IN_PLACE
       }
#endif
    :: off || drained -> break
    od
}

/* ---- Checks ---- */

/* Recovery at the next power-on, replay.c: what the dump area holds completely (dump_descriptor_first(), data_is_right()) goes in
 * place. */
#ifdef ORDERED
#define PIECE_GOOD(b) (header_stable[b] == 0 || dump_stable[b] == header_stable[b])
#ifdef LOG_FIRST
#define RECOVERED(b) stable[b]
#else
#define RECOVERED(b)                                                                                                   \
    (header_stable[b] != 0 && PIECE_GOOD(0) && PIECE_GOOD(1) && header_stable[b] > stable[b] -> header_stable[b]       \
                                                                                             : stable[b])
#endif
#define LAST(b, k) (k >= 4 && block_of[4] == b -> 4 : (k >= 3 && block_of[3] == b -> 3 :                               \
                   (k >= 2 && block_of[2] == b -> 2 : (k >= 1 && block_of[1] == b -> 1 : 0))))
#define PREFIX(k) (k <= written && RECOVERED(0) == LAST(0, k) && RECOVERED(1) == LAST(1, k))
#endif

/* STRICT: a version is of the epoch that it was sealed in; nothing of an epoch while an earlier one is incomplete */
#define EPOCH(v) (v == 0 -> 0 : epoch_of[v])

#if defined(STRICT) || defined(ORDERED)
active proctype power_off()
{
end_in_time:
    atomic {
        written > 0 && !drained;
        off = true;
#ifdef ORDERED
        assert(PREFIX(0) || PREFIX(1) || PREFIX(2) || PREFIX(3) || PREFIX(4))
#endif
#ifdef STRICT
        byte n = 1, part;
        part = (EPOCH(stable[0]) > EPOCH(stable[1]) -> EPOCH(stable[0]) : EPOCH(stable[1]));
        do
        :: n <= written ->
           /* sealed in an earlier epoch than one of which the disk has a part: there, or replaced by a newer version */
           assert(errors > 0 || epoch_of[n] == 0 || epoch_of[n] >= part || stable[block_of[n]] >= n);
           n++
        :: else -> break
        od
#endif
    }
}
#endif

#ifdef READ_OLDEST
#define READ(b) OLDEST(b)
#else
#define READ(b) NEWEST(b)
#endif

/* Looks at every state. */
active proctype witness()
{
    do
    :: atomic {
           !off && !drained;
           assert(HELD(0) || stable[0] >= acknowledged[0]);
           assert(HELD(1) || stable[1] >= acknowledged[1]);
           assert(READ(0) >= acknowledged[0] && READ(1) >= acknowledged[1]); /* buffer_read(), or the disk */
           assert(SLOTS <= BOUND)
       }
    :: off || drained -> break
    od
}
