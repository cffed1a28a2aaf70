#include "engine/write/disk_reserve.h"

#include <assert.h>
#include <inttypes.h>

#include "base/system/clock.h"
#include "base/system/log.h"

enum {
	CHECK_MS = 100,
	NEAR_BYTES = 64 * 1024 * 1024, /* with less above the reserve, the room is measured before each commit */
	COMMIT_ROOM =
		128 * 1024, /* what a commit writes besides its events: nodes and figures, in the log and then in place */
	PAGE_BYTES = 4096,  /* of the database */
	ROW_BYTES = 64,     /* of a row besides its texts, with its entry in an index */
	TELL_MS = 60 * 1000,
};

void disk_reserve_init(struct disk_reserve *r, struct store *store, uint64_t bytes)
{
	*r = (struct disk_reserve){.store = store, .bytes = bytes};
}

/* *room: bytes above the reserve. False: there is no reserve, or the file system does not say. */
static bool measure(const struct disk_reserve *r, uint64_t *left, int64_t *room)
{
	if (r->bytes == 0 || store_room(r->store, left) != ERR_NONE)
		return false;
	bool fits = *left >= COMMIT_ROOM && *left - COMMIT_ROOM >= r->bytes;
	*room = fits ? (int64_t)(*left - COMMIT_ROOM - r->bytes) : -1;
	return true;
}

static enum err say_low(const struct disk_reserve *r, uint64_t left, struct fault *why)
{
	return fault_set(why, ERR_FULL,
			 "the disk has %" PRIu64 " MiB left: with what is to be stored, less than the reserve of %" PRIu64
			 " MiB would stay free (see --disk-reserve)",
			 (left >> 20), (r->bytes >> 20));
}

bool disk_reserve_is_low(const struct disk_reserve *r, struct fault *why)
{
	uint64_t left;
	int64_t room;
	if (!measure(r, &left, &room) || room >= 0)
		return false;
	say_low(r, left, why);
	return true;
}

void disk_reserve_count(struct disk_reserve *r, const struct fault *why)
{
	int64_t now = clock_mono_ms();
	r->refused_any = true;
	r->refused++;
	if (r->told_ms != 0 && now - r->told_ms < TELL_MS)
		return;
	log_warn("publishing is refused", "requests=%" PRIu64 " why=\"%s\"", r->refused, why->text);
	r->told_ms = now;
	r->refused = 0;
}

/* An upper bound of the disk space for the events of a batch, in the write-ahead log and then in the database. Rows fill at
 * least half of each page; the last page of a row that is longer than a page may have room for nothing else. */
static int64_t exact_cost(const struct batch *b)
{
	size_t bytes = 0;
	for (size_t i = 0; i < batch_count(b); i++) {
		const struct event *e = batch_event(b, i);
		size_t row = ROW_BYTES + e->stream.len + e->type.len + e->id.len + e->data.len;
		bytes += row < PAGE_BYTES ? 2 * row : row + PAGE_BYTES;
	}
	return 2 * (int64_t)bytes;
}

/* At least the exact cost, and known without looking at the events: the memory of a batch includes all its texts. */
static int64_t rough_cost(uint64_t bytes)
{
	return 4 * (int64_t)bytes;
}

enum err disk_reserve_take(struct disk_reserve *r, const struct batch *batch, struct fault *fault)
{
	assert(r->room >= 0); /* else the check has refused the transaction's events */
	int64_t cost = rough_cost(batch_bytes(batch));
	if (r->room - cost < NEAR_BYTES)
		cost = exact_cost(batch);
	if (cost > r->room)
		return say_low(r, (uint64_t)(r->room + COMMIT_ROOM) + r->bytes, fault);
	r->room -= cost;
	return ERR_NONE;
}

enum err disk_reserve_check(struct disk_reserve *r, uint64_t bytes, struct fault *fault)
{
	int64_t now = clock_mono_ms();
	r->refused_any = false;
	if (now - r->checked_ms < CHECK_MS && r->room - rough_cost(bytes) >= NEAR_BYTES)
		return ERR_NONE;
	uint64_t left;
	r->room = INT64_MAX;
	if (store_measure_room(r->store) != ERR_NONE || !measure(r, &left, &r->room))
		return ERR_NONE;
	r->checked_ms = now;
	return r->room < 0 ? say_low(r, left, fault) : ERR_NONE;
}
