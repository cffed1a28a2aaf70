/* One byte of a store is another one: at 2,000 random places of its files, of a store that was stopped and of one that was
 * killed. Either that is harmless, or opening says so, or reading, or verify; never is something else given for right.
 * `test_damage [SEED [COUNT]]`.
 *
 * It fails without the sums of pages (db_file.c: on_read answering SQLITE_OK): sessions, figures and index rows are then
 * read as they have become. Without the note of what was acknowledged (store_open.c: check_note) a damaged write-ahead log
 * is one that ends earlier. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../unit/temp_dir.h"
#include "base/buf.h"
#include "base/log.h"
#include "disk.h"
#include "store/seal.h"

enum { PLACES = 2000, EVENTS = 400, ARCHIVED = 120, FILES_MAX = 8 };

static const struct batch_limits limits = {1 << 20, 1 << 20};
static const char *const names[] = {"tidemark.db", "tidemark.db-wal", "tidemark.db-shm", "head", "lock", NULL};

static char dir[TEMP_DIR_LEN];
static struct store *store;
static struct reader *reader;
static struct fault fault;

/* --- a store --- */

static bool open_store(void)
{
	reader = NULL;
	store = NULL;
	return store_open(dir, (struct store_options){0}, &store, &fault) == ERR_NONE &&
	       reader_open(store, &reader, &fault) == ERR_NONE;
}

static void close_store(void)
{
	reader_close(reader);
	store_close(store);
}

static void commit(void)
{
	struct committed *c;
	CHECK(store_commit(store, &c, &fault) == ERR_NONE);
	committed_destroy(c);
}

static void publish(int first, int count)
{
	struct buf lines;
	struct batch *b;
	struct receipt r;
	buf_init(&lines);
	for (int i = first; i < first + count; i++)
		buf_printf(&lines,
			   "{\"stream\":\"s%d\",\"type\":\"t%d\",\"id\":\"i%d\",\"data\":{\"n\":%d,\"pad\":\"%0*d\"}}\n",
			   i % 7, i % 3, i, i, 20 + i % 90, i);
	CHECK(batch_parse_take(lines.data, lines.len, BATCH_LINES, limits, &b, &fault) == ERR_NONE);
	CHECK(store_append(store, b, NULL, &r, &fault) == ERR_NONE);
	batch_destroy(b);
	receipt_finish(&r);
	commit();
}

static void archive(void)
{
	struct manifest m;
	uint64_t left = 0;
	CHECK(seal_range(reader, 1, ARCHIVED, (struct archive_options){2, 0}, NULL, &m, &fault) == ERR_NONE);
	while (store_hot(store) <= ARCHIVED) {
		CHECK(store_leave(store, ARCHIVED, m.last, m.chain, &left, &fault) == ERR_NONE);
		commit();
		CHECK(store_maintain(store, true, &fault) == ERR_NONE);
	}
}

static void make_store(void)
{
	CHECK(open_store());
	for (int i = 0; i < EVENTS; i += 40)
		publish(i, 40);
	CHECK(store_session_put(store, slice_of("me"), 7, 1, &fault) == ERR_NONE);
	CHECK(store_note_put(store, "kind", slice_of("key"), 3, slice_of("value"), &fault) == ERR_NONE);
	commit();
	archive();
	close_store();
}

/* --- everything it says --- */

static enum err put_session(void *arg, struct slice name, uint64_t acked, int64_t updated_ms)
{
	buf_printf(arg, "session %.*s %llu %lld\n", (int)name.len, name.p, (unsigned long long)acked, (long long)updated_ms);
	return ERR_NONE;
}

static enum err put_note(void *arg, struct slice key, int64_t at, struct slice value)
{
	buf_printf(arg, "note %.*s %lld %.*s\n", (int)key.len, key.p, (long long)at, (int)value.len, value.p);
	return ERR_NONE;
}

static enum err put_events(struct buf *out, const char *stream)
{
	struct filter *f = stream != NULL ? filter_create() : NULL;
	CHECK(stream == NULL || filter_add_stream(f, slice_of(stream)) == ERR_NONE);
	struct selection *select = stream != NULL ? history_select_take(store, f) : NULL;
	uint64_t after = 0;
	enum err err = ERR_NONE;
	while (!err && after < store_head(store)) {
		struct page *p;
		struct history_query q = {.after = after, .count_max = 100, .bytes_max = 1 << 20, .select = select};
		err = history_page(reader, &q, &p, &fault);
		if (err)
			break;
		for (uint32_t i = 0; i < page_count(p); i++) {
			struct slice e = page_envelope(p, i);
			buf_add(out, e.p, e.len);
			buf_addc(out, '\n');
		}
		after = page_last(p);
		page_unref(p);
	}
	selection_destroy(select);
	return err;
}

/* An id that is there already is one that is known. */
static enum err put_duplicate(struct buf *out, int n)
{
	char text[64];
	struct batch *b;
	struct receipt r = {0};
	int len = snprintf(text, sizeof text, "{\"stream\":\"s%d\",\"type\":\"t%d\",\"id\":\"i%d\",\"data\":0}", n % 7,
			   n % 3, n);
	CHECK(batch_parse(text, (size_t)len, BATCH_JSON, limits, &b, &fault) == ERR_NONE);
	enum err err = store_append(store, b, NULL, &r, &fault);
	if (!err)
		buf_printf(out, "again %d: %llu %llu\n", n, (unsigned long long)r.count, (unsigned long long)r.first);
	store_rollback(store);
	receipt_finish(&r);
	batch_destroy(b);
	return err;
}

/* An error is an answer, too: then *out is worth nothing. */
static enum err say_all(struct buf *out)
{
	buf_init(out);
	buf_printf(out, "%s %llu %llu\n", store_epoch(store), (unsigned long long)store_first(store),
		   (unsigned long long)store_head(store));
	struct stream_figures f;
	for (uint32_t i = 0; i < store_streams(store); i++)
		if (store_stream(store, i, &f))
			buf_printf(out, "%.*s %llu %llu %llu %llu\n", (int)f.name.len, f.name.p, (unsigned long long)f.first,
				   (unsigned long long)f.last, (unsigned long long)f.count, (unsigned long long)f.bytes);
	enum err err = put_events(out, NULL);
	for (int i = 0; !err && i < 7; i++) {
		char stream[8];
		snprintf(stream, sizeof stream, "s%d", i);
		err = put_events(out, stream);
	}
	if (!err)
		err = store_session_each(store, put_session, out, &fault);
	if (!err)
		err = store_note_each(store, "kind", put_note, out, &fault);
	for (int i = 0; !err && i < EVENTS; i += 13)
		err = put_duplicate(out, i);
	return err;
}

/* --- its files --- */

struct image {
	char path[160];
	unsigned char *bytes;
	size_t len;
};

static struct image images[FILES_MAX];
static int image_count;
static size_t image_bytes;

static void take_image(const char *name)
{
	struct image *f = &images[image_count];
	struct stat st;
	snprintf(f->path, sizeof f->path, "%s/%s", dir, name);
	if (stat(f->path, &st) != 0 || st.st_size == 0)
		return;
	int fd = open(f->path, O_RDONLY);
	f->len = (size_t)st.st_size;
	f->bytes = malloc(f->len);
	CHECK(f->bytes != NULL && read(fd, f->bytes, f->len) == (ssize_t)f->len);
	close(fd);
	image_bytes += f->len;
	image_count++;
}

static void put_images(void)
{
	for (int i = 0; names[i] != NULL; i++) {
		char path[160];
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		unlink(path);
	}
	for (int i = 0; i < image_count; i++) {
		int fd = open(images[i].path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		CHECK(fd >= 0 && write(fd, images[i].bytes, images[i].len) == (ssize_t)images[i].len);
		close(fd);
	}
}

static void forget_images(void)
{
	for (int i = 0; i < image_count; i++)
		free(images[i].bytes);
	image_count = 0;
	image_bytes = 0;
}

/* --- one byte --- */

static struct {
	int harmless;
	int opening;
	int reading;
	int verify;
} found;

static void change(uint64_t *random, const struct buf *wanted)
{
	size_t at = disk_random(random) % image_bytes;
	int file = 0;
	for (; at >= images[file].len; file++)
		at -= images[file].len;
	unsigned char *byte = &images[file].bytes[at];
	unsigned char before = *byte;
	*byte ^= (unsigned char)(1 + disk_random(random) % 255);
	put_images();
	*byte = before;
	if (!open_store()) {
		found.opening++;
		close_store();
		return;
	}
	struct buf got;
	uint64_t checked;
	enum err err = say_all(&got);
	bool same = !err && slice_eq(buf_slice(&got), buf_slice(wanted));
	bool fine = history_verify(reader, NULL, NULL, &checked, &fault) == ERR_NONE;
	if (!err && !same) {
		fprintf(stderr, "%s, byte %zu: a wrong answer (verify: %s)\n", images[file].path, at,
			fine ? "fine" : fault.text);
		CHECK(false);
	}
	found.reading += err != ERR_NONE;
	found.verify += !err && !fine;
	found.harmless += !err && fine;
	CHECK(!err || !fine || store_head(store) > 0);
	buf_finish(&got);
	close_store();
}

static uint64_t seed = 1;
static int places = PLACES;

static void change_all(const char *what)
{
	struct buf wanted;
	put_images();
	CHECK(open_store() && say_all(&wanted) == ERR_NONE);
	close_store();
	memset(&found, 0, sizeof found);
	uint64_t random = seed;
	for (int i = 0; i < places; i++)
		change(&random, &wanted);
	printf("%s: %d places in %zu bytes: %d harmless, found on opening %d, on reading %d, by verify %d\n", what, places,
	       image_bytes, found.harmless, found.opening, found.reading, found.verify);
	CHECK(found.opening > 0 && found.opening + found.reading + found.verify > places / 2);
	buf_finish(&wanted);
}

static void begin(void)
{
	temp_dir_make(dir);
	make_store();
}

static void end(void)
{
	forget_images();
	temp_dir_remove(dir);
}

static void a_store_that_was_stopped(void)
{
	begin();
	for (int i = 0; names[i] != NULL; i++)
		take_image(names[i]);
	change_all("stopped");
	end();
}

/* Its newest events are in the write-ahead log. */
static void a_store_that_was_killed(void)
{
	begin();
	CHECK(open_store());
	for (int i = 0; i < 80; i += 20)
		publish(EVENTS + i, 20);
	for (int i = 0; names[i] != NULL; i++)
		take_image(names[i]);
	close_store();
	change_all("killed");
	end();
}

int main(int argc, char **argv)
{
	const char *scale = getenv("TIDEMARK_TEST_SCALE");
	if (argc > 1)
		seed = strtoull(argv[1], NULL, 10);
	if (argc > 2)
		places = atoi(argv[2]);
	else if (scale != NULL)
		places = (int)(PLACES * strtod(scale, NULL));
	log_set_level(LOG_ERROR);
	setvbuf(stdout, NULL, _IONBF, 0);
	RUN(a_store_that_was_stopped);
	RUN(a_store_that_was_killed);
	return 0;
}
