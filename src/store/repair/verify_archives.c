/* Verify: the archives of a store. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/system/path.h"
#include "store/archive/archive_check.h"
#include "store/archives/archive_set.h"
#include "store/archives/lost_ranges.h"
#include "store/repair/verify_internal.h"
#include "store/transfer/restore.h"

enum { PROGRESS_EVERY = 4096 };

static enum err on_event(void *arg, const struct envelope *e, struct slice text, int64_t time_ms, struct fault *fault)
{
	(void)text;
	(void)time_ms;
	struct verify_counts *c = arg;
	struct restored_names names;
	struct event event;
	uint32_t topic;
	if (e->seq < c->next || e->seq >= c->first || e->seq > c->head) /* archives may overlap */
		return ERR_NONE;
	enum err err = restore_decode(e, &names, &event, fault);
	if (err)
		return err;
	if (!catalog_find_topic(store_catalog(c->reader->store), event.stream, event.type, &topic))
		return fault_set(fault, ERR_CORRUPT,
				 "event %" PRIu64 " has a stream and a type that the store does not know", e->seq);
	c->holes = c->holes || e->seq != c->next;
	verify_count_event(c, verify_count_find(c, topic), e->seq, e->data.len);
	if (c->out->events % PROGRESS_EVERY == 0 && c->progress != NULL)
		c->progress(c->arg, c->out->events, c->all);
	return ERR_NONE;
}

/* The `previous` of an archive must be the chain of the one before it. */
static enum err check_link(struct archive_set *set, const struct manifest *m, struct fault *fault)
{
	struct manifest before;
	if (strspn(m->previous, "0") == SHA256_TEXT_LEN || m->first == 1)
		return ERR_NONE;
	bool found = false;
	bool any = false;
	for (uint32_t i = 0; !found && archive_set_at(set, i, &before) && before.first < m->first; i++)
		if (before.last == m->first - 1) {
			any = true;
			found = strcmp(before.chain, m->previous) == 0;
		}
	if (found || !any)
		return ERR_NONE;
	return fault_set(fault, ERR_CORRUPT,
			 "%s: event %" PRIu64 " does not follow the archive before it: the chain is broken", m->file,
			 m->first);
}

static bool is_there(struct archive_set *set, uint64_t last, const char *chain, bool *any)
{
	struct manifest m;
	bool found = false;
	*any = false;
	for (uint32_t i = 0; !found && archive_set_at(set, i, &m) && m.first <= last; i++) {
		*any = *any || m.last == last;
		found = m.last == last && strcmp(m.chain, chain) == 0;
	}
	return found;
}

/* `text`: SEQ:CHAIN of the archive that the last evicted events went to; an empty chain: they are lost. The log must begin
 * right after SEQ or before it. */
static enum err check_chain(struct verify_counts *c, const char *text)
{
	char *colon;
	bool any;
	uint64_t seq = strtoull(text, &colon, 10);
	size_t len = *colon == ':' ? strlen(colon + 1) : 1;
	if (len != 0 && len != SHA256_TEXT_LEN)
		return fault_set(c->fault, ERR_CORRUPT, "the chain of the archive that the log follows is damaged: %.90s",
				 text);
	if (c->first > seq + 1)
		return fault_set(c->fault, ERR_CORRUPT,
				 "events %" PRIu64 " to %" PRIu64 " are missing: the log should begin with them", seq + 1,
				 c->first - 1);
	if (len == 0 || is_there(store_archives(c->reader->store), seq, colon + 1, &any))
		return ERR_NONE;
	return any ? fault_set(c->fault, ERR_CORRUPT,
			       "the archive that ends with event %" PRIu64 " is not the one that the log's events went to",
			       seq)
		   : fault_set(c->fault, ERR_CORRUPT,
			       "the archive that the log's events went to, which ends with event %" PRIu64 ", is not there",
			       seq);
}

enum err verify_chain(struct verify_counts *c)
{
	return c->chain[0] != '\0' ? check_chain(c, c->chain) : ERR_NONE;
}

/* Events below the log must be in archives or lost. */
static enum err check_cover(struct verify_counts *c)
{
	struct archive_set *set = store_archives(c->reader->store);
	struct lost_ranges lost;
	struct lost_range range;
	struct fault why;
	enum err err = lost_ranges_load(c->reader->db, &lost, c->fault);
	if (!err && lost.known && lost_ranges_uncovered(&lost, set, c->next, c->first, &range)) {
		err = fault_set(c->fault, ERR_CORRUPT,
				"events %" PRIu64 " to %" PRIu64 " are missing: they are in no archive of %s", range.first,
				range.last, archive_set_dir(set));
		if (archive_set_orphan(set, range.first, &why))
			fault_set(c->fault, ERR_CORRUPT, "events %" PRIu64 " to %" PRIu64 " are missing: %s", range.first,
				  range.last, why.text);
	}
	lost_ranges_finish(&lost);
	return err;
}

enum err verify_archives(struct verify_counts *c)
{
	struct archive_set *set = store_archives(c->reader->store);
	uint64_t from = c->next;
	struct manifest m;
	struct manifest found;
	if (archive_set_rejected(set, c->fault))
		return c->fault->code;
	enum err err = check_cover(c);
	for (uint32_t i = 0; !err && archive_set_at(set, i, &m); i++) {
		char path[PATH_MAX];
		struct archive_check s = {.expected = &m, .each = on_event, .arg = c};
		if (m.last < from)
			continue;
		archive_set_path(set, m.file, path);
		err = archive_check(path, &s, &found, c->fault);
		if (!err)
			err = check_link(set, &m, c->fault);
	}
	if (!err && c->next < c->first) { /* retention has removed the others */
		c->holes = true;
		c->next = c->first;
	}
	return err;
}
