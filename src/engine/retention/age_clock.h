/* How old events are by the time that has really passed, however the machine's clock was set meanwhile
 * (docs/decisions/0027-ages.md). `time` cannot say: it never decreases, so after a clock jumped ahead and back it stands
 * still until the clock has caught up.
 *
 * The age clock is set from the machine's clock once, when a store is first opened, and runs with the time since the
 * boot. It goes on over a restart; a machine that was off counts for at most a day. A mark is the age clock at the moment
 * when the log ended with a certain event: no event up to that one is younger. Old marks lie farther apart than new ones, by
 * a 64th of their age.
 *
 * Marks are notes of the store: `age` (key: the seq in hexadecimal, at: the age clock) and `clock` (at: the age clock;
 * value: the boot, the time since then and the machine's clock as they were at that moment).
 *
 * One thread, except where it says otherwise. */
#ifndef ENGINE_RETENTION_AGE_CLOCK_H
#define ENGINE_RETENTION_AGE_CLOCK_H

#include "store/read/history.h"

struct age_clock;

/* Before there is a writer. */
enum err age_clock_create(struct store *store, struct age_clock **out, struct fault *fault);
void age_clock_destroy(struct age_clock *a); /* NULL is fine */

/* Milliseconds. */
int64_t age_clock_now(const struct age_clock *a);
/* Milliseconds by which the machine's clock advanced more than this one over the last restart; 0: it did not. */
int64_t age_clock_surplus(const struct age_clock *a);
/* *seq: the last event that was appended before `ms` (of the age clock); below the log where there is none. */
enum err age_clock_seek(const struct age_clock *a, struct reader *reader, int64_t ms, uint64_t *seq, struct fault *fault);

/* Makes a mark if one is due. True: there is something to save. */
bool age_clock_tick(struct age_clock *a);
/* Saves marks and clock in the open transaction. On the writing thread, while the owning thread waits. */
enum err age_clock_save(struct age_clock *a, struct store *store, struct fault *fault);
/* After the commit: what was saved is saved. */
void age_clock_saved(struct age_clock *a);

#endif
