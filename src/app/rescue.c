#include "app/rescue.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/system/progress.h"
#include "store/read/history.h"
#include "store/repair/salvage.h"

typedef unsigned long long ull;

static void on_progress(void *arg, uint64_t done, uint64_t all)
{
	progress_set(arg, done, done, all);
}

/* Opens the store as a server would, and verifies it. */
static enum err examine(const struct config *c, struct history_verified *found, struct fault *fault)
{
	struct store *s = NULL;
	struct reader *r = NULL;
	struct progress progress;
	struct store_options options = {.access = STORE_WRITE, .archive_dir = c->archive_dir != NULL ? c->archive_dir : ""};
	progress_init(&progress, "check", "events");
	enum err err = store_open(c->data, options, &s, fault);
	if (!err)
		err = reader_open(s, &r, fault);
	if (!err)
		err = history_verify(r, on_progress, &progress, found, fault);
	progress_clear(&progress);
	reader_close(r);
	store_close(s);
	return err;
}

static void print_report(const struct salvage_report *r)
{
	fprintf(stderr, "tidemark: salvaged %" PRIu64 " events into archives; the head is %" PRIu64 "\n", r->kept, r->head);
	if (r->lost > 0)
		fprintf(stderr, "tidemark: %" PRIu64 " events are lost:", r->lost);
	for (uint32_t i = 0; i < r->range_count && i < SALVAGE_RANGES_MAX; i++)
		fprintf(stderr, " %" PRIu64 "-%" PRIu64, r->ranges[i].first, r->ranges[i].last);
	if (r->lost > 0)
		fprintf(stderr, "%s\n", r->range_count > SALVAGE_RANGES_MAX ? " and more" : "");
	if (r->side_fault[0] != '\0')
		fprintf(stderr, "tidemark: sessions, leases and observations are lost: %s\n", r->side_fault);
	if (r->damaged > 0)
		fprintf(stderr, "tidemark: %u archives were damaged, and were renamed to .damaged\n", r->damaged);
	fprintf(stderr, "tidemark: the damaged store was moved to %s\n", r->old_dir);
}

enum err rescue(const struct config *c, bool *salvaged, struct fault *fault)
{
	struct salvage_report report;
	struct history_verified found = {0};
	*salvaged = false;
	enum err err = examine(c, &found, fault);
	if (!err)
		fprintf(stderr, "tidemark: nothing to salvage: all %" PRIu64 " events are intact\n", found.events);
	/* An error that is not about damage: change nothing. */
	if (!err || err == ERR_LOCKED || err == ERR_NEWER || err == ERR_NOMEM || err == ERR_FULL)
		return err;
	fprintf(stderr, "tidemark: %s is damaged: %s\n", c->data, fault->text);
	err = store_salvage(c->data, c->archive_dir, &report, fault);
	if (err)
		return err;
	*salvaged = true;
	print_report(&report);
	return ERR_NONE;
}
