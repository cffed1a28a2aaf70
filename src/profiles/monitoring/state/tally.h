/* Totals of one service since the beginning of the log. Whole numbers only, so that a recount in any portions has the
 * same result. */
#ifndef PROFILES_MONITORING_STATE_TALLY_H
#define PROFILES_MONITORING_STATE_TALLY_H

#include "profiles/monitoring/event/flat.h"

struct tally {
	uint64_t events;
	uint64_t sent_bytes;
	uint64_t received_bytes;
	uint64_t errors; /* see flat_is_error */
	uint64_t timed;  /* events with a response time */
	uint64_t timed_us;
	uint64_t last_ms; /* Unix, of the last event; 0: none */
	uint64_t open;    /* connections, from events about connecting and disconnecting */
};

void tally_add(struct tally *t, const struct flat *f);
/* Removes the newest event; the caller sets last_ms to the time of the one before. */
void tally_remove(struct tally *t, const struct flat *f);
double tally_mean_ms(const struct tally *t);

/* Appends the stats object of the profile; {} if there was no event. `with_total`: includes total_bytes. */
void tally_write(struct buf *out, enum service service, const struct tally *t, bool with_total);

void tally_save(struct buf *out, const struct tally *t);
bool tally_load(struct slice text, struct tally *t);

/* The response time as counted: whole microseconds, at most a month. */
uint64_t tally_response_us(const struct flat *f);

#endif
