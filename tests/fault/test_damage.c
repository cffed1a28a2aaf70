/* One byte of a store is another one: at 2,000 random places of all files in its directory, archives and their manifests
 * among them, of a store that was stopped and of one that was killed. Either that is harmless, or opening says so, or
 * verify (and reading, where it gets there); never is something else given for right. `test_damage [SEED [COUNT]]`.
 *
 * It fails without the sums of pages (db_file.c: on_read answering SQLITE_OK): sessions, figures and index rows are then
 * read as they have become. Without the note of what was acknowledged (store_open.c: check_note) a damaged write-ahead log
 * is one that ends earlier. Without the sum of a manifest (manifest.c: check_sum) other times in it are believed; without
 * the checksums of frames (archive.c: unpack) other digits in it. With what is missing told as removed (archive_set.c:
 * why_not), and with history_seek_since answering as history_seek_time does, the events of an archive that cannot be used
 * are left out. */
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/system/log.h"
#include "disk.h"
#include "store/transfer/seal.h"
#include "unit/temp_dir.h"

enum {
	PLACES = 2000,
	EVENTS = 400,
	BATCH = 40,
	BATCHES = EVENTS / BATCH,
	ARCHIVES = 3, /* of a batch each */
	FILES_MAX = 16,
	SHARE_MIN = 32, /* a file is a 32nd of what is damaged, or more */
};

static const struct batch_limits limits = {1 << 20, 1 << 20};

static char dir[TEMP_DIR_LEN];
static struct store *store;
static struct reader *reader;
static struct fault fault;
static int64_t times[BATCHES]; /* of the events of a batch */

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
	for (uint64_t first = 1; first <= ARCHIVES * BATCH; first += BATCH)
		CHECK(seal_range(reader, (struct seq_range){first, first + BATCH - 1},
				 (struct archive_options){.level = 2, .threads = 0}, NULL, &m, &fault) == ERR_NONE);
	while (store_log_first(store) <= m.last) {
		CHECK(store_evict(store, m.last, m.last, m.chain, &left, &fault) == ERR_NONE);
		commit();
		CHECK(store_maintain(store, true, &fault) == ERR_NONE);
	}
}

static void note_times(void)
{
	for (int i = 0; i < BATCHES; i++) {
		struct page *p;
		struct history_query q = {.after = (uint64_t)i * BATCH, .count_max = 1, .bytes_max = 1};
		CHECK(history_page(reader, &q, &p, &fault) == ERR_NONE);
		times[i] = page_entry(p, 0).time_ms;
		CHECK(i == 0 || times[i] > times[i - 1]);
		page_unref(p);
	}
}

static void make_store(void)
{
	CHECK(open_store());
	for (int i = 0; i < EVENTS; i += BATCH) {
		publish(i, BATCH);
		usleep(2000); /* the next ones have another time */
	}
	CHECK(store_session_put(store, &(struct stored_session){slice_of("me"), 7, 1, {NULL, 0}, {NULL, 0}}, &fault) ==
	      ERR_NONE);
	CHECK(store_note_put(store, "kind", slice_of("key"), 3, slice_of("value"), &fault) == ERR_NONE);
	commit();
	note_times();
	archive();
	close_store();
}

/* --- everything it says --- */

static enum err put_figures(struct buf *out)
{
	struct stream_figures f;
	char name[EVENT_NAME_MAX];
	struct slice from = {name, 0};
	bool there;
	enum err err;
	buf_printf(out, "%s %llu %llu\n", store_epoch(store), (unsigned long long)store_first(store),
		   (unsigned long long)store_head(store));
	while (!(err = store_stream_from(store, from, true, &f, &there, &fault)) && there) {
		buf_printf(out, "%.*s %llu %llu %llu %llu\n", (int)f.name.len, f.name.p, (unsigned long long)f.first,
			   (unsigned long long)f.last, (unsigned long long)f.count, (unsigned long long)f.bytes);
		from.len = f.name.len;
		slice_copy(name, f.name);
	}
	return err;
}

static enum err put_session(void *arg, const struct stored_session *s)
{
	buf_printf(arg, "session %.*s %llu %lld %.*s\n", (int)s->name.len, s->name.p, (unsigned long long)s->acked,
		   (long long)s->updated_ms, (int)s->filter.len, s->filter.p);
	return ERR_NONE;
}

static enum err put_note(void *arg, struct slice key, int64_t at, struct slice value)
{
	buf_printf(arg, "note %.*s %lld %.*s\n", (int)key.len, key.p, (long long)at, (int)value.len, value.p);
	return ERR_NONE;
}

/* What is read: all where nothing is said. Times are those of batches. */
struct part {
	const char *stream;
	const char *type;
	bool descending;
	int since;
	int until;
};

static const struct part parts[] = {
	{0},
	{.descending = true},
	{.stream = "s0"},
	{.stream = "s1"},
	{.stream = "s2", .descending = true},
	{.stream = "s3", .descending = true},
	{.type = "t0"},
	{.type = "t1", .descending = true},
	{.stream = "s4", .type = "t2"},
	{.stream = "s5", .type = "t0", .descending = true},
	{.since = 1, .until = 2},
	{.since = 2, .until = 5, .descending = true},
	{.since = 3, .until = 4},
	{.since = 6, .until = 9},
	{.stream = "s6", .since = 1, .until = 9, .descending = true},
};

enum { PARTS = sizeof parts / sizeof *parts };

static struct selection *select_part(const struct part *part)
{
	if (part->stream == NULL && part->type == NULL)
		return NULL;
	struct filter *f = filter_create();
	CHECK(f != NULL);
	CHECK(part->stream == NULL || filter_add_stream(f, slice_of(part->stream)) == ERR_NONE);
	CHECK(part->type == NULL || filter_add_type(f, slice_of(part->type)) == ERR_NONE);
	return history_select_take(store, f);
}

static enum err put_pages(struct buf *out, struct history_query q, uint64_t before)
{
	enum err err = ERR_NONE;
	q.before = before;
	q.count_max = 100;
	q.bytes_max = 1 << 20;
	while (!err && q.after + 1 < q.before) {
		struct page *p;
		err = history_page(reader, &q, &p, &fault);
		if (err)
			break;
		for (uint32_t i = 0; i < page_count(p); i++) {
			struct slice e = page_envelope(p, i);
			buf_add(out, e.p, e.len);
			buf_addc(out, '\n');
		}
		*(q.descending ? &q.before : &q.after) = page_last(p);
		page_unref(p);
	}
	return err;
}

static enum err put_part(struct buf *out, const struct part *part)
{
	struct history_query q = {.descending = part->descending, .select = select_part(part)};
	uint64_t last = store_head(store);
	enum err err = ERR_NONE;
	if (part->since > 0)
		err = history_seek_since(reader, times[part->since], &q.after, &fault);
	if (!err && part->until > 0)
		err = history_seek_time(reader, times[part->until], &last, &fault);
	if (!err)
		err = put_pages(out, q, last + 1);
	selection_destroy(q.select);
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

static enum err put_duplicates(struct buf *out)
{
	enum err err = ERR_NONE;
	for (int i = 0; !err && i < EVENTS; i += 13)
		err = put_duplicate(out, i);
	return err;
}

enum { ASK_FIGURES, ASK_SESSIONS, ASK_NOTES, ASK_AGAIN, ASK_PARTS, QUESTIONS = ASK_PARTS + PARTS };

/* An error is an answer, too: then *out is worth nothing. */
static enum err answer(int question, struct buf *out)
{
	buf_init(out);
	switch (question) {
	case ASK_FIGURES: return put_figures(out);
	case ASK_SESSIONS: return store_session_each(store, put_session, out, &fault);
	case ASK_NOTES: return store_note_each(store, "kind", put_note, out, &fault);
	case ASK_AGAIN: return put_duplicates(out);
	default: return put_part(out, &parts[question - ASK_PARTS]);
	}
}

/* --- its files --- */

enum kind { KIND_STORE, KIND_ARCHIVE, KIND_MANIFEST, KINDS };

struct image {
	char path[160];
	enum kind kind;
	unsigned char *bytes;
	size_t len;
};

static struct image images[FILES_MAX];
static int image_count;
static size_t image_bytes;

static bool ends_with(const char *text, const char *ending)
{
	size_t len = strlen(text);
	return len >= strlen(ending) && strcmp(text + len - strlen(ending), ending) == 0;
}

static int take_image(const char *path, const struct stat *st, int what, struct FTW *at)
{
	(void)at;
	if (what != FTW_F || st->st_size == 0)
		return 0;
	CHECK(image_count < FILES_MAX);
	struct image *f = &images[image_count++];
	snprintf(f->path, sizeof f->path, "%s", path);
	f->kind = ends_with(path, ARCHIVE_ENDING)    ? KIND_ARCHIVE
		  : ends_with(path, MANIFEST_ENDING) ? KIND_MANIFEST
						     : KIND_STORE;
	int fd = open(path, O_RDONLY);
	f->len = (size_t)st->st_size;
	f->bytes = malloc(f->len);
	CHECK(f->bytes != NULL && read(fd, f->bytes, f->len) == (ssize_t)f->len);
	close(fd);
	image_bytes += f->len;
	return 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct image *)a)->path, ((const struct image *)b)->path);
}

/* Of all that is in the directory, in an order that is always the same. */
static void take_images(void)
{
	CHECK(nftw(dir, take_image, 8, FTW_PHYS) == 0);
	qsort(images, (size_t)image_count, sizeof *images, by_path);
}

static int remove_file(const char *path, const struct stat *st, int what, struct FTW *at)
{
	(void)st;
	(void)at;
	return what == FTW_F ? unlink(path) : 0;
}

static void put_images(void)
{
	CHECK(nftw(dir, remove_file, 8, FTW_PHYS) == 0);
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

/* Of files of a kind. */
static struct found {
	int harmless;
	int opening;
	int reading;
	int verify;
} found[KINDS];

/* By its size, so that a large file has its due, but a small one is not left out. */
static size_t weight(const struct image *f)
{
	size_t least = image_bytes / SHARE_MIN;
	return f->len > least ? f->len : least;
}

static struct image *choose(uint64_t *random, size_t *at)
{
	size_t all = 0;
	for (int i = 0; i < image_count; i++)
		all += weight(&images[i]);
	*at = disk_random(random) % all;
	struct image *f = images;
	for (; *at >= weight(f); f++)
		*at -= weight(f);
	*at %= f->len;
	return f;
}

/* All is asked, whatever cannot be answered. "It was removed" is an answer, and a wrong one. Returns how many failed. */
static int compare(const struct buf *wanted, const struct image *f, size_t at)
{
	int failed = 0;
	for (int i = 0; i < QUESTIONS; i++) {
		struct buf got;
		enum err err = answer(i, &got);
		if (err == ERR_GONE || (!err && !slice_eq(buf_slice(&got), buf_slice(&wanted[i])))) {
			fprintf(stderr, "%s, byte %zu: a wrong answer to question %d: %s\n", f->path, at, i, err_name(err));
			CHECK(false);
		}
		failed += err != ERR_NONE;
		buf_finish(&got);
	}
	return failed;
}

static void change(uint64_t *random, const struct buf *wanted)
{
	size_t at;
	struct image *f = choose(random, &at);
	struct found *to = &found[f->kind];
	unsigned char *byte = &f->bytes[at];
	unsigned char before = *byte;
	*byte ^= (unsigned char)(1 + disk_random(random) % 255);
	put_images();
	*byte = before;
	if (!open_store()) {
		to->opening++;
		close_store();
		return;
	}
	struct history_verified checked;
	int failed = compare(wanted, f, at);
	bool fine = history_verify(reader, NULL, NULL, &checked, &fault) == ERR_NONE;
	if (failed > 0 && fine)
		fprintf(stderr, "%s, byte %zu: %d answers fail, and verify finds nothing\n", f->path, at, failed);
	CHECK(failed == 0 || !fine);
	/* Each byte of an archive and of its manifest is in a digest, but for the newline behind a manifest. */
	CHECK(!fine || f->kind == KIND_STORE || (f->kind == KIND_MANIFEST && at == f->len - 1));
	to->reading += failed > 0;
	to->verify += failed == 0 && !fine;
	to->harmless += fine;
	close_store();
}

static uint64_t seed = 1;
static int places;

static void change_all(const char *what)
{
	static const char *const kinds[] = {"the store", "archives", "manifests"};
	struct buf wanted[QUESTIONS];
	put_images();
	CHECK(open_store());
	for (int i = 0; i < QUESTIONS; i++)
		CHECK(answer(i, &wanted[i]) == ERR_NONE && wanted[i].len > 0);
	close_store();
	memset(found, 0, sizeof found);
	uint64_t random = seed;
	for (int i = 0; i < places; i++)
		change(&random, wanted);
	printf("%s: %d places in %d files of %zu bytes\n", what, places, image_count, image_bytes);
	for (int i = 0; i < KINDS; i++) {
		const struct found *f = &found[i];
		printf("%s: %d harmless, found on opening %d, on reading %d, by verify %d\n", kinds[i], f->harmless,
		       f->opening, f->reading, f->verify);
	}
	const struct found *f = &found[KIND_STORE];
	CHECK(f->opening > 0 && f->opening + f->reading + f->verify > f->harmless);
	for (int i = 0; i < QUESTIONS; i++)
		buf_finish(&wanted[i]);
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
	take_images();
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
	take_images();
	close_store();
	change_all("killed");
	end();
}

int main(int argc, char **argv)
{
	if (argc > 1)
		seed = strtoull(argv[1], NULL, 10);
	places = argc > 2 ? atoi(argv[2]) : (int)(PLACES * test_scale());
	log_set_level(LOG_ERROR);
	setvbuf(stdout, NULL, _IONBF, 0);
	RUN(a_store_that_was_stopped);
	RUN(a_store_that_was_killed);
	return check_end();
}
