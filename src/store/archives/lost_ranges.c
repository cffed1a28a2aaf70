#include "store/archives/lost_ranges.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/buf.h"
#include "store/sqlite/db.h"
#include "store/sqlite/meta.h"

/* Sets gone_unknown to the last seq of meta.gone: the topics of all lost events so far are unknown. */
#define SELECT_UNKNOWN                                                                                                      \
	"SELECT 'gone_unknown', CAST(substr(value, length(rtrim(value, '0123456789')) + 1) AS INTEGER) "                    \
	"FROM meta WHERE key = 'gone'"

static enum err note_unknown(sqlite3 *db, struct fault *fault)
{
	return db_exec(db, "INSERT OR REPLACE INTO meta(key, value) " SELECT_UNKNOWN, fault);
}

enum err lost_ranges_prepare(sqlite3 *db, struct fault *fault)
{
	enum err err = db_exec(
		db,
		"INSERT OR IGNORE INTO meta(key, value) SELECT 'gone', CASE WHEN (SELECT min(seq) FROM event) > 1 AND "
		"NOT EXISTS (SELECT 1 FROM meta WHERE key = 'chain' AND value LIKE '%:_%') "
		"THEN '1-' || (SELECT min(seq) - 1 FROM event) ELSE '' END",
		fault);
	if (!err)
		err = db_exec(db, "INSERT OR IGNORE INTO meta(key, value) " SELECT_UNKNOWN, fault);
	/* An older version has not kept the last seqs of their streams either. */
	return err ? err
		   : db_exec(db,
			     "INSERT OR IGNORE INTO meta(key, value) SELECT 'last_unknown', value FROM meta "
			     "WHERE key = 'gone_unknown'",
			     fault);
}

enum err lost_ranges_unknown(sqlite3 *db, uint64_t *seq, struct fault *fault)
{
	int64_t value = 0;
	enum err err = meta_get(db, "gone_unknown", 0, &value, fault);
	*seq = (uint64_t)value;
	return err;
}

static enum err add_range(struct lost_ranges *g, struct lost_range range, struct fault *fault)
{
	struct lost_range *ranges = realloc(g->ranges, (g->count + 1) * sizeof *ranges);
	if (ranges == NULL)
		return fault_nomem(fault);
	g->ranges = ranges;
	g->ranges[g->count++] = range;
	return ERR_NONE;
}

static enum err parse(const char *text, struct lost_ranges *g, struct fault *fault)
{
	enum err err = ERR_NONE;
	for (char *end; !err && *text != '\0'; text = *end == ',' ? end + 1 : end) {
		struct lost_range r = {strtoull(text, &end, 10), 0};
		if (*end == '-')
			r.last = strtoull(end + 1, &end, 10);
		bool fine = r.first > 0 && r.last >= r.first && (*end == ',' || *end == '\0') &&
			    (g->count == 0 || r.first > g->ranges[g->count - 1].last);
		err = fine ? add_range(g, r, fault)
			   : fault_set(fault, ERR_CORRUPT, "the list of lost ranges is damaged: %.60s", text);
	}
	return err;
}

enum err lost_ranges_load(sqlite3 *db, struct lost_ranges *out, struct fault *fault)
{
	*out = (struct lost_ranges){0};
	struct buf text;
	buf_init(&text);
	enum err err = meta_get_text(db, "gone", &text, &out->known, fault);
	if (!err && out->known)
		err = parse(text.data, out, fault);
	buf_finish(&text);
	if (err)
		lost_ranges_finish(out);
	return err;
}

void lost_ranges_finish(struct lost_ranges *g)
{
	free(g->ranges);
	*g = (struct lost_ranges){0};
}

static enum err save(sqlite3 *db, const struct lost_ranges *g, struct fault *fault)
{
	struct buf text;
	buf_init(&text);
	for (uint32_t i = 0; i < g->count; i++)
		buf_printf(&text, "%s%" PRIu64 "-%" PRIu64, i > 0 ? "," : "", g->ranges[i].first, g->ranges[i].last);
	buf_addc(&text, '\0');
	enum err err = buf_failed(&text) ? fault_nomem(fault) : meta_put_text(db, "gone", text.data, fault);
	buf_finish(&text);
	return err;
}

static int by_first(const void *a, const void *b)
{
	const struct lost_range *x = a;
	const struct lost_range *y = b;
	return x->first < y->first ? -1 : x->first > y->first;
}

/* Sorts, and joins ranges that touch. */
static void join(struct lost_ranges *g)
{
	assert(g->count > 0);
	uint32_t kept = 0;
	qsort(g->ranges, g->count, sizeof *g->ranges, by_first);
	for (uint32_t i = 1; i < g->count; i++) {
		struct lost_range *end = &g->ranges[kept];
		if (g->ranges[i].first > end->last + 1)
			g->ranges[++kept] = g->ranges[i];
		else if (g->ranges[i].last > end->last)
			end->last = g->ranges[i].last;
	}
	g->count = kept + 1;
}

enum err lost_ranges_add(sqlite3 *db, uint64_t first, uint64_t last, bool counted, struct fault *fault)
{
	struct lost_ranges g;
	assert(first > 0 && first <= last);
	enum err err = lost_ranges_load(db, &g, fault);
	if (err)
		return err;
	err = add_range(&g, (struct lost_range){first, last}, fault);
	if (!err)
		join(&g);
	if (!err)
		err = save(db, &g, fault);
	lost_ranges_finish(&g);
	return err || counted ? err : note_unknown(db, fault);
}

enum err lost_ranges_last_put(sqlite3 *db, struct lost_ranges_last last, struct fault *fault)
{
	enum err err = meta_put(db, "gone_last_seq", (int64_t)last.seq, fault);
	return err ? err : meta_put(db, "gone_last_time", last.time_ms, fault);
}

enum err lost_ranges_last_get(sqlite3 *db, struct lost_ranges_last *out, struct fault *fault)
{
	int64_t seq = 0;
	int64_t time_ms = 0;
	enum err err = meta_get(db, "gone_last_seq", 0, &seq, fault);
	if (!err)
		err = meta_get(db, "gone_last_time", 0, &time_ms, fault);
	*out = (struct lost_ranges_last){(uint64_t)seq, time_ms};
	return err;
}

enum err lost_ranges_copy(sqlite3 *from, sqlite3 *to, uint64_t end, struct fault *fault)
{
	struct lost_ranges g;
	struct lost_ranges_last newest = {0};
	assert(end > 0);
	enum err err = lost_ranges_load(from, &g, fault);
	if (err || !g.known)
		return err;
	while (g.count > 0 && g.ranges[g.count - 1].first >= end)
		g.count--;
	if (g.count > 0 && g.ranges[g.count - 1].last >= end)
		g.ranges[g.count - 1].last = end - 1;
	err = save(to, &g, fault);
	lost_ranges_finish(&g);
	if (!err)
		err = lost_ranges_last_get(from, &newest, fault);
	if (!err && newest.seq > 0 && newest.seq < end)
		err = lost_ranges_last_put(to, newest, fault);
	return err ? err : note_unknown(to, fault); /* the figures of the copy do not count lost events */
}

/* The last seq of the lost range or archive that has `seq`; 0: none has it. */
static uint64_t covered_to(const struct lost_ranges *g, struct archive_set *set, uint64_t seq)
{
	struct manifest m;
	for (uint32_t i = 0; i < g->count; i++)
		if (g->ranges[i].first <= seq && seq <= g->ranges[i].last)
			return g->ranges[i].last;
	return archive_set_find(set, seq, &m) ? m.last : 0;
}

/* The first seq after `seq` of the next lost range or archive, or log_first. */
static uint64_t covered_from(const struct lost_ranges *g, struct archive_set *set, uint64_t seq, uint64_t log_first)
{
	struct manifest m;
	for (uint32_t i = 0; i < g->count; i++)
		if (g->ranges[i].first > seq && g->ranges[i].first < log_first)
			log_first = g->ranges[i].first;
	for (uint32_t i = 0; archive_set_at(set, i, &m) && m.first < log_first; i++)
		if (m.first > seq)
			log_first = m.first;
	return log_first;
}

bool lost_ranges_uncovered(const struct lost_ranges *g, struct archive_set *set, uint64_t from, uint64_t log_first,
			   struct lost_range *out)
{
	for (uint64_t last; from < log_first && (last = covered_to(g, set, from)) != 0;)
		from = last + 1;
	if (from >= log_first)
		return false;
	*out = (struct lost_range){from, covered_from(g, set, from, log_first) - 1};
	assert(out->first <= out->last && out->last < log_first);
	return true;
}

uint64_t lost_ranges_last_outside(const struct lost_ranges *g, uint64_t first, uint64_t last)
{
	for (uint32_t i = g->count; i > 0 && last >= first; i--)
		if (g->ranges[i - 1].first <= last && last <= g->ranges[i - 1].last)
			last = g->ranges[i - 1].first - 1;
	return last >= first ? last : 0;
}
