/* Verify: the archives of a store. */
#include <stdio.h>
#include <stdlib.h>

#include "store/archive_set.h"
#include "store/db.h"
#include "store/recount.h"
#include "store/restore.h"
#include "store/survey.h"

enum { PATH_LEN = 1200 };

struct reading {
	struct recount *recount;
	uint64_t *checked;
	uint64_t counted; /* the last event that was counted: archives may overlap */
};

static enum err on_event(void *arg, const struct envelope *e, struct slice text, int64_t time_ms, struct fault *fault)
{
	(void)text;
	(void)time_ms;
	struct reading *r = arg;
	struct recount *c = r->recount;
	struct restored_names names;
	struct event event;
	uint32_t topic;
	if (e->seq <= r->counted || e->seq >= c->first)
		return ERR_NONE;
	enum err err = restore_decode(e, &names, &event, fault);
	if (err)
		return err;
	if (!catalog_find_topic(store_catalog(c->reader->store), event.stream, event.type, &topic))
		return fault_set(fault, ERR_CORRUPT, "event %llu has a stream and a type that the store does not know",
				 (unsigned long long)e->seq);
	c->holes = c->holes || (r->counted != 0 && e->seq != r->counted + 1);
	r->counted = e->seq;
	recount_event(c, topic, e->seq, e->data.len);
	if (++*r->checked % 4096 == 0 && c->progress != NULL)
		c->progress(c->arg, *r->checked, c->all);
	return ERR_NONE;
}

/* An archive names the chain of the one before it. */
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
	return fault_set(fault, ERR_CORRUPT, "%s: event %llu does not follow the archive before it: the chain is broken",
			 m->file, (unsigned long long)m->first);
}

/* The log follows the archive that its last events went to. */
static enum err check_end(struct recount *c)
{
	sqlite3_stmt *st;
	struct manifest m;
	enum err err = db_prepare(c->reader->db, "SELECT value FROM meta WHERE key = 'chain'", &st, c->fault);
	if (err)
		return err;
	if (sqlite3_step(st) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(st, 0);
		const char *colon = strchr(text, ':');
		uint64_t seq = strtoull(text, NULL, 10);
		bool chained = colon != NULL && strlen(colon + 1) == SHA256_TEXT_LEN;
		bool any = false;
		bool found = false;
		for (uint32_t i = 0; chained && archive_set_at(store_archives(c->reader->store), i, &m); i++) {
			any = any || m.last == seq;
			found = found || (m.last == seq && strcmp(m.chain, colon + 1) == 0);
		}
		if (any && !found)
			err = fault_set(c->fault, ERR_CORRUPT,
					"the archive that ends with event %llu is not the one that the log's events went to",
					(unsigned long long)seq);
	}
	sqlite3_finalize(st);
	return err;
}

enum err verify_archives(struct recount *c, uint64_t *checked)
{
	struct archive_set *set = store_archives(c->reader->store);
	struct reading r = {c, checked, 0};
	struct manifest m;
	struct manifest found;
	if (archive_set_rejected(set, c->fault))
		return c->fault->code;
	enum err err = ERR_NONE;
	for (uint32_t i = 0; !err && archive_set_at(set, i, &m); i++) {
		char path[PATH_LEN];
		struct survey s = {.expected = &m, .each = on_event, .arg = &r};
		archive_set_path(set, m.file, path, sizeof path);
		err = archive_survey(path, &s, &found, c->fault);
		if (!err)
			err = check_link(set, &m, c->fault);
	}
	if (err)
		return err;
	c->holes =
		c->holes || (r.counted == 0 ? c->first > 1 : r.counted + 1 < c->first || store_first(c->reader->store) > 1);
	return check_end(c);
}
