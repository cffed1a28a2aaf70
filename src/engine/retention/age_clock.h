/* How old events are by the time that has really passed, whatever was done to the machine's clock meanwhile
 * (docs/decisions/0027-ages.md). Their `time` cannot say: it never decreases, so it stands still for as long as a clock had
 * jumped ahead.
 *
 * The age clock is set from the machine's clock once, when a store is first looked at, and runs with the time since the
 * boot. Over a restart it goes on, for a day at most where the machine was off. Marks say what it was when the log ended
 * with a certain event: no event up to there is younger. Old marks lie farther apart than new ones, by a 64th of their age.
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
/* By how much the machine's clock was ahead of it over the last restart; 0: it was not. */
int64_t age_clock_surplus(const struct age_clock *a);
/* The last event that was appended before `ms`; below the log where there is none. */
enum err age_clock_seek(const struct age_clock *a, struct reader *reader, int64_t ms, uint64_t *seq, struct fault *fault);

/* Makes a mark where one is due. True: something is to be saved. */
bool age_clock_tick(struct age_clock *a);
/* Saves it, in the open transaction. On the writing thread, while the other one waits. */
enum err age_clock_save(struct age_clock *a, struct store *store, struct fault *fault);
/* It was committed. */
void age_clock_saved(struct age_clock *a);

#endif
