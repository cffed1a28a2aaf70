#include "unit/engine/engine.h"

const struct batch_limits limits = {1 << 20, 1 << 20};
char dir[TEMP_DIR_LEN];
struct store *store;
struct pool *pool;
struct feed *feed;
struct sessions *sessions;
struct writer *writer;
struct fault fault;

void engine_open(size_t ring_bytes, struct writer_options options)
{
	enum err err = store_open(dir, (struct store_options){0}, &store, &fault);
	if (!err)
		err = pool_create(store, 2, &pool, &fault);
	if (!err)
		err = feed_create(store, pool, (struct feed_options){ring_bytes, 256 * 1024}, &feed, &fault);
	if (!err)
		err = sessions_create(store, NULL, &sessions, &fault);
	if (!err)
		err = writer_create(store, feed, sessions, options, &writer, &fault);
	if (err)
		fprintf(stderr, "%s\n", fault.text);
	CHECK(!err);
}

void engine_close(void)
{
	writer_destroy(writer);
	pool_destroy(pool);
	sessions_destroy(sessions);
	feed_destroy(feed);
	store_close(store);
}

void engine_set_up(size_t ring_bytes)
{
	temp_dir_make(dir);
	engine_open(ring_bytes, (struct writer_options){0});
}

void engine_tear_down(void)
{
	engine_close();
	temp_dir_remove(dir);
}

static void on_done(struct write_op *op)
{
	bell_ring(&((struct write *)op)->bell);
}

void write_prepare(struct write *o, uint64_t client, const char *lines)
{
	*o = (struct write){.op = {.client = client, .done = on_done}};
	bell_init(&o->bell);
	list_init(&o->op.link);
	if (lines != NULL)
		CHECK(batch_parse_take(strdup(lines), strlen(lines), BATCH_LINES, limits, &o->op.batch, &fault) == ERR_NONE);
}

enum err write_submit(struct write *o, const char *lines)
{
	write_prepare(o, 0, lines);
	return writer_submit(writer, &o->op, &fault);
}

void write_submit_as(struct write *o, uint64_t client, const char *lines)
{
	write_prepare(o, client, lines);
	CHECK(writer_submit(writer, &o->op, &fault) == ERR_NONE);
}

void write_finish(struct write *o)
{
	receipt_finish(&o->op.receipt);
	batch_destroy(o->op.batch);
}

enum err engine_publish(const char *lines)
{
	struct write o;
	enum err err = write_submit(&o, lines);
	if (!err) {
		bell_wait(&o.bell, 1);
		err = o.op.err;
	}
	write_finish(&o);
	return err;
}

void put_lines(char *out, int count)
{
	for (int i = 0; i < count; i++)
		memcpy(out + (size_t)i * LINE_LEN, "{\"data\":1}\n", LINE_LEN + 1);
}

static struct bell held;
static struct bell hold;

static enum err on_hold(struct write_op *op, struct store *s, struct fault *f)
{
	(void)op;
	(void)s;
	(void)f;
	bell_ring(&held);
	bell_wait(&hold, 1);
	return ERR_NONE;
}

void engine_hold_writer(struct write *holder, uint64_t client, const char *lines)
{
	bell_init(&held);
	bell_init(&hold);
	write_prepare(holder, client, lines);
	holder->op.change = on_hold;
	CHECK(writer_submit(writer, &holder->op, &fault) == ERR_NONE);
	bell_wait(&held, 1);
}

void engine_release_writer(void)
{
	bell_ring(&hold);
}
