/* Leases: their limits, and very many of them. */
#include "base/data/hash.h"
#include "base/system/clock.h"
#include "engine/write/writer.h"
#include "profiles/monitoring/leases/lease_internal.h"
#include "unit/temp_dir.h"

static struct fault fault;

static void lease_limits_are_read(void)
{
	struct lease_options o = lease_defaults();
	CHECK(lease_set_limit(&o, "KIMI=9") && lease_set_limit(&o, "new-one=1") && lease_set_limit(&o, "session=0"));
	CHECK(o.limit_count == 6 && o.limits[3].limit == 9 && strcmp(o.limits[5].name, "new-one") == 0);
	static const char *const bad[] = {"", "=", "a", "a=", "a=x", "=5", "a b=1", "a=-1", "a\"=1", "a=99999999999"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK(!lease_set_limit(&o, bad[i]));
}

enum { MANY = 3000 };

/* Leases as a server that has ended has left them. */
static struct leases *load_leases(struct store *store)
{
	struct lease_options o = lease_defaults();
	struct leases *l;
	struct committed *committed;
	o.leak_ms = 1;
	for (int i = 0; i < MANY; i++) {
		char id[LEASE_ID_LEN + 1];
		snprintf(id, sizeof id, "%0*d", LEASE_ID_LEN, i);
		CHECK(store_note_put(store, "lease", slice_of(id), i + 1,
				     slice_of("{\"name\":\"kimi\",\"holder\":\"h\",\"session\":\"\","
					      "\"conversation\":\"\"}"),
				     &fault) == ERR_NONE);
	}
	CHECK(store_commit(store, &committed, &fault) == ERR_NONE);
	CHECK(leases_create(store, o, &l, &fault) == ERR_NONE);
	return l;
}

static int times_in(const struct buf *text, const char *what)
{
	int count = 0;
	const char *end = text->data + text->len;
	for (const char *at = text->data; (at = memmem(at, (size_t)(end - at), what, strlen(what))) != NULL; at++)
		count++;
	return count;
}

/* Fails where all are written in one go, or one that goes away between two parts loses or doubles others; and where a sweep
 * looks at all of them for each that it takes back. */
static void many_leases_are_told_in_parts_and_swept_in_one_pass(void)
{
	char dir[TEMP_DIR_LEN];
	struct store *store;
	struct pool *pool;
	struct feed *feed;
	struct sessions *sessions;
	struct writer *writer;
	struct buf out;
	int parts = 1;
	buf_init(&out);
	temp_dir_make(dir);
	CHECK(store_open(dir, (struct store_options){0}, &store, &fault) == ERR_NONE);
	struct leases *l = load_leases(store);
	struct lease_cursor at = {0};
	CHECK(!leases_write_part(l, &out, &at) && times_in(&out, "\"id\"") == LEASES_PART);
	struct lease *last = lease_find(l, slice_of(at.id));
	CHECK(last != NULL && last->number == LEASES_PART);
	/* The last that was written goes, and so it is not found again. */
	map_remove(&l->by_id, &last->by_id);
	while (!leases_write_part(l, &out, &at))
		parts++;
	CHECK(parts + 1 >= MANY / LEASES_PART && times_in(&out, "\"id\"") == MANY && !buf_failed(&out));
	for (int i = 0; i < MANY; i += 499) {
		char id[LEASE_ID_LEN + 16];
		snprintf(id, sizeof id, "\"id\":\"%0*d\"", LEASE_ID_LEN, i);
		CHECK(times_in(&out, id) == 1);
	}
	map_add(&l->by_id, hash_text(slice_of(last->id)), &last->by_id);

	CHECK(pool_create(store, 1, &pool, &fault) == ERR_NONE);
	CHECK(feed_create(store, pool, (struct feed_options){1 << 20, 1 << 20}, &feed, &fault) == ERR_NONE);
	CHECK(sessions_create(store, NULL, &sessions, &fault) == ERR_NONE);
	CHECK(writer_create(store, feed, sessions, (struct writer_options){0}, &writer, &fault) == ERR_NONE);
	while (clock_mono_ms() - LIST_ITEM(l->by_renewal.prev, struct lease, by_renewal)->renewed_ms < 1)
		;
	leases_sweep(l, writer);
	CHECK(l->examined == MANY && list_empty(&l->by_renewal) && l->leaks == MANY);
	writer_close(writer);
	CHECK(list_empty(&l->all) && l->by_id.count == 0);
	writer_destroy(writer);
	pool_destroy(pool);
	sessions_destroy(sessions);
	feed_destroy(feed);
	leases_destroy(l);
	store_close(store);
	temp_dir_remove(dir);
	buf_finish(&out);
}

int main(void)
{
	RUN(many_leases_are_told_in_parts_and_swept_in_one_pass);
	RUN(lease_limits_are_read);
	return check_end();
}
