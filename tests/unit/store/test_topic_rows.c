/* Topics as they are read when a store is opened: few by the thread that opens it, many by a thread of their own. */
#include <sqlite3.h>

#include "store/log/store_internal.h"
#include "store/open/topic_rows.h"
#include "store/sqlite/db.h"
#include "unit/temp_dir.h"

enum { FEW = 1000, MANY = 70000 };

static char dir[TEMP_DIR_LEN];
static struct store *store;
static struct fault fault;

static void check(enum err err)
{
	if (err)
		fprintf(stderr, "%s\n", fault.text);
	CHECK(!err);
}

static void open_store(void)
{
	check(store_open(dir, (struct store_options){0}, &store, &fault));
}

/* A store with so many topics, of which every third has indexed figures, and every third figures past the index. */
static void set_up(int topics)
{
	char sql[400];
	temp_dir_make(dir);
	open_store();
	snprintf(sql, sizeof sql,
		 "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < %d) "
		 "INSERT INTO topic(id, stream, type, first, last, count, bytes, gone) "
		 "SELECT i, 's' || i, 't' || (i %% 7), (i %% 3) * 2, (i %% 3 > 0) * 2 * i, i %% 3 > 0, (i %% 3 > 0) * 3, i "
		 "FROM n",
		 topics);
	check(db_exec(store->db, sql, &fault));
}

static void tear_down(void)
{
	store_close(store);
	temp_dir_remove(dir);
}

static void is_row(const struct topic_row *row, uint32_t i)
{
	char stream[16];
	char type[16];
	snprintf(stream, sizeof stream, "s%u", i);
	snprintf(type, sizeof type, "t%u", i % 7);
	CHECK_SLICE(row->stream, stream);
	CHECK_SLICE(row->type, type);
	/* The index reaches to 3. */
	const struct figures *f = &row->figures;
	bool indexed = i % 3 == 1;
	CHECK(f->lost == i && f->first == (indexed ? 2 : 0) && f->count == indexed);
	CHECK(f->last == (indexed ? 2 * i : 0) && f->bytes == (indexed ? 3 : 0));
}

/* All from `first` on, or as many until the caller has enough. */
static uint32_t read_all(uint32_t first, uint32_t enough, enum err wanted)
{
	struct topic_reader *r;
	const struct topic_rows *rows;
	uint32_t last;
	uint32_t n = first;
	enum err err;
	check(topic_reader_create(store->db, first, 3, &r, &last, &fault));
	while ((err = topic_reader_next(r, &rows, &fault)) == ERR_NONE && rows != NULL && n < enough)
		for (uint32_t i = 0; i < rows->count; i++)
			is_row(&rows->rows[i], n++);
	CHECK(err == wanted);
	topic_reader_destroy(r);
	return n;
}

static void all_are_read_in_order(void)
{
	static const int counts[] = {1, 31, 32, 33, FEW, MANY, MANY - MANY % 32, 65536, 65537};
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		uint32_t count = (uint32_t)counts[i];
		set_up(counts[i]);
		CHECK(read_all(0, UINT32_MAX, ERR_NONE) == count);
		CHECK(read_all(count - 1, UINT32_MAX, ERR_NONE) == count);
		CHECK(read_all(count, UINT32_MAX, ERR_NONE) == count);
		tear_down();
	}
}

static void it_can_be_given_up(void)
{
	set_up(MANY);
	for (uint32_t enough = 0; enough < 3000; enough += 500)
		CHECK(read_all(0, enough, ERR_NONE) < enough + 64);
	tear_down();
}

static void numbers_may_be_missing(void)
{
	struct topic_reader *r;
	const struct topic_rows *rows;
	uint32_t last;
	uint32_t count = 0;
	set_up(MANY);
	check(db_exec(store->db, "DELETE FROM topic WHERE id % 10 < 9", &fault));
	check(topic_reader_create(store->db, 0, 3, &r, &last, &fault));
	for (check(topic_reader_next(r, &rows, &fault)); rows != NULL; check(topic_reader_next(r, &rows, &fault)))
		for (uint32_t i = 0; i < rows->count; i++, count++) {
			CHECK(rows->rows[i].number == 10 * count + 9);
			is_row(&rows->rows[i], rows->rows[i].number);
		}
	CHECK(count == MANY / 10 && last == 10 * count - 1);
	topic_reader_destroy(r);
	tear_down();
}

static void damage_and_read(int topics, int damaged, const char *change)
{
	char sql[100];
	char name[40];
	set_up(topics);
	snprintf(sql, sizeof sql, "UPDATE topic SET %s WHERE id = %d", change, damaged);
	check(db_exec(store->db, sql, &fault));
	fault.text[0] = '\0';
	uint32_t n = read_all(0, UINT32_MAX, ERR_CORRUPT);
	CHECK(n <= (uint32_t)damaged && n + 32 > (uint32_t)damaged);
	snprintf(name, sizeof name, "topic %d is damaged", damaged);
	CHECK(strcmp(fault.text, name) == 0);
	tear_down();
}

static void what_is_damaged_is_named(void)
{
	static const char long_name[] = "stream = printf('%300d', 1)";
	damage_and_read(FEW, 500, long_name);
	damage_and_read(MANY, 0, long_name);
	damage_and_read(MANY, 33333, long_name);
	/* Nothing can be asked of a topic that has events, but no first one: its stream was looked up behind a null pointer.
	 */
	damage_and_read(FEW, 500, "first = 0, count = 1");
}

static void a_store_of_many_topics_has_them_when_it_is_opened(void)
{
	uint32_t topic;
	struct figures f;
	set_up(MANY);
	check(db_exec(store->db, "UPDATE topic SET first = 0, last = 0, count = 0, bytes = 0", &fault));
	store_close(store);
	/* To be written to it would be opened without them: they have no events. */
	check(store_open(dir, (struct store_options){.access = STORE_READ}, &store, &fault));
	CHECK(catalog_topics(store_catalog(store)) == MANY);
	CHECK(catalog_find_topic(store_catalog(store), slice_of("s69999"), slice_of("t6"), &topic) && topic == 69999);
	catalog_topic_figures(store_catalog(store), topic, &f);
	CHECK(f.count == 0 && f.lost == 69999);
	tear_down();
}

int main(void)
{
	RUN(all_are_read_in_order);
	RUN(it_can_be_given_up);
	RUN(numbers_may_be_missing);
	RUN(what_is_damaged_is_named);
	RUN(a_store_of_many_topics_has_them_when_it_is_opened);
	return check_end();
}
