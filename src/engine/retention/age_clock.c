#include "engine/retention/age_clock.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/system/clock.h"
#include "base/system/log.h"
#include "base/system/sys.h"

enum {
	SECOND_MS = 1000,
	HOUR_MS = 3600 * 1000,
	DAY_MS = 24 * HOUR_MS, /* a restart of the machine counts for at most a day */
	PRECISION = 64,
	BOOT_LEN = 40,
	NOTE_LEN = BOOT_LEN + 48,
};

struct mark {
	uint64_t seq;
	int64_t ms;
	bool stored;
	bool dropped; /* forgotten once its note is deleted */
};

struct age_clock {
	struct store *store;
	int64_t base_ms; /* of the age clock, when the time since the boot was: */
	int64_t base_boot_ms;
	int64_t surplus_ms;
	int64_t saved_ms; /* when its note was last written; 0: there is none */
	struct mark *marks;
	size_t count;
	size_t cap;
};

static enum err add_mark(struct age_clock *a, uint64_t seq, int64_t ms, bool stored)
{
	if (a->count == a->cap) {
		size_t cap = a->cap * 2 + PRECISION;
		struct mark *grown = realloc(a->marks, cap * sizeof *grown);
		if (grown == NULL)
			return ERR_NOMEM;
		a->marks = grown;
		a->cap = cap;
	}
	a->marks[a->count++] = (struct mark){.seq = seq, .ms = ms, .stored = stored};
	return ERR_NONE;
}

/* --- the store's notes --- */

/* Marks of events that this store does not have, as after `backup --until`, are dropped. */
static enum err on_mark(void *arg, struct slice key, int64_t at, struct slice value)
{
	(void)value;
	struct age_clock *a = arg;
	char text[20];
	uint64_t seq;
	snprintf(text, sizeof text, "%.*s", (int)key.len, key.p);
	if (sscanf(text, "%16" SCNx64, &seq) != 1)
		return ERR_NONE;
	uint64_t last = a->count > 0 ? a->marks[a->count - 1].seq : 0;
	enum err err = add_mark(a, seq, at, true);
	if (!err && (seq > store_head(a->store) || seq < last))
		a->marks[a->count - 1].dropped = true;
	return err;
}

struct clock_note {
	bool found;
	int64_t age_ms;
	int64_t boot_ms;
	int64_t wall_ms;
	char boot[BOOT_LEN];
};

static enum err on_clock(void *arg, struct slice key, int64_t at, struct slice value)
{
	(void)key;
	struct clock_note *n = arg;
	char text[NOTE_LEN];
	snprintf(text, sizeof text, "%.*s", (int)value.len, value.p);
	n->age_ms = at;
	n->found = sscanf(text, "%39s %" SCNd64 " %" SCNd64, n->boot, &n->boot_ms, &n->wall_ms) == 3;
	return ERR_NONE;
}

static void boot_name(char out[BOOT_LEN])
{
	sys_boot(out, BOOT_LEN);
	if (out[0] == '\0')
		strcpy(out, "-");
}

/* The time since the note was written; by the machine's clock it is `off`. */
static int64_t passed(const struct age_clock *a, const struct clock_note *n, int64_t off)
{
	char boot[BOOT_LEN];
	boot_name(boot);
	int64_t running = a->base_boot_ms - n->boot_ms;
	if (strcmp(boot, n->boot) == 0 && boot[0] != '-' && running >= 0)
		return running;
	if (off > DAY_MS)
		log_warn("the clock is much later than before the restart of the machine: ages count a day of that",
			 "hours=%" PRId64, (off / HOUR_MS));
	return off < 0 ? 0 : off > DAY_MS ? DAY_MS : off;
}

static void go_on(struct age_clock *a, const struct clock_note *n)
{
	int64_t off = clock_wall_ms() - n->wall_ms;
	int64_t real = passed(a, n, off);
	a->base_ms = n->age_ms + real;
	a->surplus_ms = off > real ? off - real : 0;
}

/* The start of a clock without a note: now, but at most a day after the newest event. */
static int64_t first_ms(struct store *store)
{
	int64_t now = clock_wall_ms();
	int64_t newest = store_last_time(store);
	return store_head(store) > 0 && now - newest > DAY_MS ? newest + DAY_MS : now;
}

static enum err load(struct age_clock *a, struct fault *fault)
{
	struct clock_note note = {0};
	enum err err = store_note_each(a->store, "clock", on_clock, &note, fault);
	if (!err)
		err = store_note_each(a->store, "age", on_mark, a, fault);
	if (err)
		return err;
	a->base_boot_ms = clock_boot_ms();
	if (note.found)
		go_on(a, &note);
	else
		a->base_ms = first_ms(a->store);
	if (a->count > 0 && a->base_ms < a->marks[a->count - 1].ms)
		a->base_ms = a->marks[a->count - 1].ms;
	if (a->count == 0 && add_mark(a, store_head(a->store), a->base_ms, false) != ERR_NONE)
		err = fault_nomem(fault);
	return err;
}

enum err age_clock_create(struct store *store, struct age_clock **out, struct fault *fault)
{
	struct age_clock *a = calloc(1, sizeof *a);
	*out = NULL;
	if (a == NULL)
		return fault_nomem(fault);
	a->store = store;
	enum err err = load(a, fault);
	if (err) {
		age_clock_destroy(a);
		return err;
	}
	*out = a;
	return ERR_NONE;
}

void age_clock_destroy(struct age_clock *a)
{
	if (a == NULL)
		return;
	free(a->marks);
	free(a);
}

/* --- asking --- */

int64_t age_clock_now(const struct age_clock *a)
{
	return a->base_ms + clock_boot_ms() - a->base_boot_ms;
}

int64_t age_clock_surplus(const struct age_clock *a)
{
	return a->surplus_ms;
}

enum err age_clock_seek(const struct age_clock *a, struct reader *reader, int64_t ms, uint64_t *seq, struct fault *fault)
{
	const struct mark *first = NULL;
	const struct mark *found = NULL;
	for (size_t i = 0; i < a->count; i++) {
		const struct mark *m = &a->marks[i];
		if (m->dropped)
			continue;
		first = first == NULL ? m : first;
		if (m->ms >= ms)
			break;
		found = m;
	}
	if (found != NULL) {
		*seq = found->seq;
		return ERR_NONE;
	}
	/* Events from before the first mark are as old as their `time` says. */
	enum err err = history_seek_time(reader, ms, seq, fault);
	if (!err && first != NULL && *seq > first->seq)
		*seq = first->seq;
	return err;
}

/* --- marks --- */

static struct mark *newest(struct age_clock *a)
{
	for (size_t i = a->count; i > 0; i--)
		if (!a->marks[i - 1].dropped)
			return &a->marks[i - 1];
	return NULL;
}

/* Drops marks so that their distance grows with their age. The first that stays is that of the last event below the log, or
 * else the first of all: events before it are as old as their `time` says. */
static void thin_out(struct age_clock *a, int64_t now)
{
	uint64_t log_first = store_log_first(a->store);
	const struct mark *before = NULL;
	struct mark *candidate = NULL;
	for (size_t i = 0; i < a->count; i++) {
		struct mark *m = &a->marks[i];
		if (m->dropped)
			continue;
		bool close = before != NULL && candidate != NULL && m->ms - before->ms < (now - m->ms) / PRECISION;
		if (candidate != NULL && ((before == NULL && m->seq < log_first) || close))
			candidate->dropped = true;
		else if (candidate != NULL)
			before = candidate;
		candidate = m;
	}
}

bool age_clock_tick(struct age_clock *a)
{
	int64_t now = age_clock_now(a);
	uint64_t head = store_head(a->store);
	const struct mark *last = newest(a);
	assert(last == NULL || last->seq <= head);
	bool due = last == NULL || (head > last->seq && now - last->ms >= SECOND_MS);
	if (due && add_mark(a, head, now, false) == ERR_NONE) /* without memory, the next tick tries again */
		thin_out(a, now);
	bool unsaved = now - a->saved_ms >= HOUR_MS;
	for (size_t i = 0; !unsaved && i < a->count; i++)
		unsaved = a->marks[i].dropped || !a->marks[i].stored;
	return unsaved;
}

static enum err save_clock(const struct age_clock *a, struct store *store, struct fault *fault)
{
	char text[NOTE_LEN];
	char boot[BOOT_LEN];
	boot_name(boot);
	snprintf(text, sizeof text, "%s %" PRId64 " %" PRId64, boot, clock_boot_ms(), clock_wall_ms());
	return store_note_put(store, "clock", slice_of(""), age_clock_now(a), slice_of(text), fault);
}

enum err age_clock_save(struct age_clock *a, struct store *store, struct fault *fault)
{
	enum err err = save_clock(a, store, fault);
	for (size_t i = 0; !err && i < a->count; i++) {
		const struct mark *m = &a->marks[i];
		char key[20];
		snprintf(key, sizeof key, "%016" PRIx64, m->seq);
		if (m->dropped && m->stored)
			err = store_note_delete(store, "age", slice_of(key), fault);
		else if (!m->dropped && !m->stored)
			err = store_note_put(store, "age", slice_of(key), m->ms, slice_of(""), fault);
	}
	return err;
}

void age_clock_saved(struct age_clock *a)
{
	size_t kept = 0;
	for (size_t i = 0; i < a->count; i++)
		if (!a->marks[i].dropped) {
			a->marks[kept] = a->marks[i];
			a->marks[kept++].stored = true;
		}
	assert(kept <= a->count);
	a->count = kept;
	a->saved_ms = age_clock_now(a);
}
