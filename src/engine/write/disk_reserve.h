/* The part of the disk that publishing leaves free (--disk-reserve), so that retention and sessions can still write. The
 * writer's thread, unless noted otherwise. */
#ifndef ENGINE_WRITE_DISK_RESERVE_H
#define ENGINE_WRITE_DISK_RESERVE_H

#include "event/event.h"
#include "store/log/store.h"

struct disk_reserve {
	struct store *store;
	uint64_t bytes;     /* 0: there is no reserve */
	int64_t checked_ms; /* monotonic */
	int64_t room;       /* bytes above the reserve, less what was accepted since it was measured */
	int64_t told_ms;    /* monotonic: when a refusal was last logged; 0: never */
	uint64_t refused;   /* requests since then */
	bool refused_any;   /* in the open transaction */
};

void disk_reserve_init(struct disk_reserve *r, struct store *store, uint64_t bytes);
/* Before a transaction whose batches take `bytes` of memory: measures the room every 100 ms, and always when the batches may
 * come near the reserve. ERR_FULL: the disk is below it. */
enum err disk_reserve_check(struct disk_reserve *r, uint64_t bytes, struct fault *fault);
/* Subtracts what a batch may need from the room; ERR_FULL: there is not enough. */
enum err disk_reserve_take(struct disk_reserve *r, const struct batch *batch, struct fault *fault);
/* A request was refused for the reserve: logged once a minute. */
void disk_reserve_count(struct disk_reserve *r, const struct fault *why);
/* Is the disk below the reserve at this moment? Any thread. */
bool disk_reserve_is_low(const struct disk_reserve *r, struct fault *why);

#endif
