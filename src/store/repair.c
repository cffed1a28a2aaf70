#include "store/repair.h"

#include "store/db.h"
#include "store/gone.h"
#include "store/restore.h"
#include "store/store_inside.h"
#include "store/sum.h"
#include "store/survey.h"

struct repair {
	struct store *store;
	struct repair_figures *figures;
	uint64_t first; /* where the log should begin */
	sqlite3_stmt *look; /* sum, seq */
	sqlite3_stmt *drop;
};

/* Is the event of the log what the archive says, to the sum? */
static enum err is_whole(struct repair *r, const struct envelope *e, int64_t time_ms, bool *whole, struct fault *fault)
{
	struct restored_names names;
	struct event event;
	enum err err = restore_is(r->store, e, time_ms, whole, fault);
	if (err || !*whole)
		return err;
	err = restore_decode(e, &names, &event, fault);
	sqlite3_bind_int64(r->look, 1, (sqlite3_int64)e->seq);
	int rc = sqlite3_step(r->look);
	int32_t sum = sum_event(e->seq, time_ms, sum_names(event.stream, event.type), event.id, event.data);
	*whole = rc == SQLITE_ROW && (int32_t)sqlite3_column_int64(r->look, 0) == sum;
	sqlite3_reset(r->look);
	return err;
}

static enum err put_back(struct repair *r, const struct envelope *e, int64_t time_ms, struct fault *fault)
{
	struct store *s = r->store;
	struct restored_names names;
	struct event event;
	uint32_t topic;
	sqlite3_bind_int64(r->drop, 1, (sqlite3_int64)e->seq);
	int rc = sqlite3_step(r->drop);
	sqlite3_reset(r->drop);
	enum err err = rc == SQLITE_DONE ? restore_decode(e, &names, &event, fault)
					 : db_fault(s->db, rc, "removing a damaged event", fault);
	if (!err)
		err = store_topic_of(s, &event, &topic, fault);
	s->next_seq = e->seq;
	s->time_ms = time_ms;
	if (!err)
		err = store_insert(s, &event, topic, fault);
	r->figures->repaired += !err;
	return err;
}

static enum err on_event(void *arg, const struct envelope *e, struct slice text, int64_t time_ms, struct fault *fault)
{
	(void)text;
	struct repair *r = arg;
	bool whole;
	if (e->seq < r->first || e->seq > store_head(r->store))
		return ERR_NONE;
	r->figures->looked_at++;
	enum err err = is_whole(r, e, time_ms, &whole, fault);
	return err || whole ? err : put_back(r, e, time_ms, fault);
}

static enum err repair_from(struct repair *r, const char *path, struct fault *fault)
{
	struct manifest expected;
	struct manifest found;
	enum err err = manifest_read(path, &expected, fault);
	bool has = err == ERR_NONE;
	if (err && err != ERR_NOT_FOUND)
		return err;
	if (has && strcmp(expected.epoch, store_epoch(r->store)) != 0)
		return fault_set(fault, ERR_CONFLICT, "%s is of another store: its epoch is %s, here it is %s", path,
				 expected.epoch, store_epoch(r->store));
	struct survey s = {.expected = has ? &expected : NULL, .each = on_event, .arg = r};
	return archive_survey(path, &s, &found, fault);
}

/* What is missing right before the log has been its beginning: nobody noted that it left. */
static enum err find_first(struct repair *r, struct fault *fault)
{
	struct gone gone;
	struct gone_range range = {0};
	uint64_t hot = store_hot(r->store);
	enum err err = gone_load(r->store->db, &gone, fault);
	r->first = hot;
	while (!err && gone_uncovered(&gone, store_archives(r->store), range.last + 1, hot, &range))
		if (range.last == hot - 1)
			r->first = range.first;
	gone_finish(&gone);
	return err;
}

enum err repair_log(const char *dir, const char *const *archives, int count, struct repair_figures *out, struct fault *fault)
{
	struct repair r = {.figures = out};
	*out = (struct repair_figures){0};
	enum err err = store_open(dir, (struct store_options){.access = STORE_WRITE, .unchecked = true}, &r.store, fault);
	if (err)
		return err;
	err = find_first(&r, fault);
	if (!err)
		err = db_prepare(r.store->db, "SELECT sum FROM event WHERE seq = ?", &r.look, fault);
	if (!err)
		err = db_prepare(r.store->db, "DELETE FROM event WHERE seq = ?", &r.drop, fault);
	if (!err)
		err = db_exec(r.store->db, "BEGIN IMMEDIATE", fault);
	for (int i = 0; !err && i < count; i++)
		err = repair_from(&r, archives[i], fault);
	if (!err)
		err = db_exec(r.store->db, "COMMIT", fault);
	sqlite3_finalize(r.look);
	sqlite3_finalize(r.drop);
	/* Pages that were damaged where no event is have wrong sums still: all are written anew. */
	if (!err)
		err = db_exec(r.store->db, "VACUUM", fault);
	if (err)
		restore_abandon(r.store);
	store_close(r.store);
	return err;
}
