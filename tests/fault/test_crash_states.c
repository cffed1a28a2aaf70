/* Every crash state of one sealing, one discarding without an archive, one backup and its update, one import into an empty
 * directory and one below a log, and one salvage. The changes of files are recorded (disk.h), and after each number of them
 * everything that a power loss can leave is made and looked at: what was acknowledged is there; the operation has happened
 * as a whole or not at all, or is refused as unfinished; and the same operation, done again, succeeds. `test_crash_states
 * [OPERATION]`.
 *
 * Of n unsynced changes any combination may be on the disk. All 2^n are tried where n is at most COMBINED_MAX. Beyond that,
 * and for torn writes, there are too many, and these are tried: none, all, all but each single one, each single one alone;
 * each write of several sectors torn at its first, middle and last boundary with all other changes there, and at its middle
 * one with none, either side of it being there. Disks with the same contents are looked at once.
 *
 * Seen to fail: without the fsync of an archive or of its directory (atomic_file.c), of an imported database (import.c:
 * put_in_place), of the directory in which a damaged database is put aside, or of the decision to replace it
 * (database_swap.c). */
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/system/log.h"
#include "disk.h"
#include "store/repair/salvage.h"
#include "store/transfer/backup.h"
#include "store/transfer/import.h"
#include "store/transfer/seal.h"
#include "unit/temp_dir.h"

enum {
	STREAMS = 3,
	BATCH = 20,
	EVENTS = 3 * BATCH,
	SESSION_ACKED = 7,
	COMBINED_MAX = 6,
	SEEN_MAX = 1 << 20,
	PATH_LEN = 300
};

static const struct batch_limits limits = {1 << 20, 1 << 20};
static const struct archive_options archives = {.level = 2, .threads = 0};

static char top[TEMP_DIR_LEN];    /* is watched */
static char source[TEMP_DIR_LEN]; /* a store with all events, and archives of each batch; is not */
static char dir[TEMP_DIR_LEN + 8];
static struct fault fault;
static struct store *store;
static struct reader *reader;

/* --- a store --- */

static enum err open_store(const char *at, struct store_options options)
{
	reader = NULL;
	enum err err = store_open(at, options, &store, &fault);
	return err ? err : reader_open(store, &reader, &fault);
}

static void close_store(void)
{
	reader_close(reader);
	store_close(store);
	reader = NULL;
	store = NULL;
}

static void put_event(struct buf *out, uint64_t seq)
{
	buf_printf(out, "\"stream\":\"s%d\",\"type\":\"%s\",\"id\":\"i%d\",\"data\":{\"n\":%d,\"pad\":\"%0*d\"}}",
		   (int)(seq % STREAMS), seq <= BATCH ? "old" : "new", (int)seq, (int)seq, (int)(seq * 37 % 90), (int)seq);
}

static bool commit(void)
{
	struct committed *c;
	bool fine = store_commit(store, &c, &fault) == ERR_NONE;
	committed_destroy(c);
	return fine;
}

static void publish(uint64_t first)
{
	struct buf lines;
	struct batch *b;
	struct receipt r;
	buf_init(&lines);
	for (uint64_t seq = first; seq < first + BATCH; seq++) {
		buf_addc(&lines, '{');
		put_event(&lines, seq);
		buf_addc(&lines, '\n');
	}
	CHECK(batch_parse_take(lines.data, lines.len, BATCH_LINES, limits, &b, &fault) == ERR_NONE);
	CHECK(store_append(store, b, NULL, &r, &fault) == ERR_NONE && commit());
	batch_destroy(b);
	receipt_finish(&r);
}

static void fill(const char *at, uint64_t events)
{
	CHECK(open_store(at, (struct store_options){0}) == ERR_NONE);
	for (uint64_t seq = 1; seq <= events; seq += BATCH)
		publish(seq);
	CHECK(store_session_put(store, &(struct stored_session){slice_of("me"), SESSION_ACKED, 1, {NULL, 0}, {NULL, 0}},
				&fault) == ERR_NONE);
	CHECK(commit());
	close_store();
}

static bool seal(uint64_t first, struct manifest *m)
{
	return seal_range(reader, (struct seq_range){first, first + BATCH - 1}, archives, NULL, m, &fault) == ERR_NONE;
}

/* As the server's archiver does it. */
static bool seal_and_leave(void)
{
	struct manifest m;
	uint64_t left;
	if (open_store(dir, (struct store_options){.archive_dir = ""}) != ERR_NONE)
		return false;
	bool fine = seal(1, &m);
	while (fine && store_log_first(store) <= m.last)
		fine = store_evict(store, m.last, m.last, m.chain, &left, &fault) == ERR_NONE && commit() &&
		       store_maintain(store, false, &fault) == ERR_NONE;
	fine = fine && store_log_first(store) == BATCH + 1;
	close_store();
	return fine;
}

/* As the archiver does it without archives. The types of the first batch are forgotten with it. */
static bool discard(void)
{
	uint64_t left;
	if (open_store(dir, (struct store_options){.archive_dir = ""}) != ERR_NONE)
		return false;
	bool fine = true;
	while (fine && store_log_first(store) <= BATCH)
		fine = store_evict(store, BATCH, BATCH, NULL, &left, &fault) == ERR_NONE && commit() &&
		       store_maintain(store, false, &fault) == ERR_NONE;
	close_store();
	return fine;
}

static void archive_path(uint64_t first, const char *ending, char out[PATH_LEN])
{
	char name[ARCHIVE_NAME_LEN];
	archive_name(name, first, first + BATCH - 1, ending);
	snprintf(out, PATH_LEN, "%s/archives/%s", source, name);
}

/* --- the operations --- */

static void prepare_nothing(void)
{
}

static void prepare_store(void)
{
	fill(dir, EVENTS);
}

static bool back_up(uint64_t until)
{
	struct backup_figures f;
	return backup_store(source, dir, (struct backup_options){.until = until}, &f, &fault) == ERR_NONE;
}

static void prepare_older_copy(void)
{
	CHECK(back_up(BATCH));
}

static bool back_up_all(void)
{
	return back_up(0);
}

static bool import_from(uint64_t first)
{
	char paths[EVENTS / BATCH][PATH_LEN];
	const char *list[EVENTS / BATCH];
	struct import_figures f;
	int count = 0;
	for (uint64_t seq = first; seq <= EVENTS; seq += BATCH) {
		archive_path(seq, ARCHIVE_ENDING, paths[count]);
		list[count] = paths[count];
		count++;
	}
	return import_files(dir, list, count, (struct import_options){0}, &f, &fault) == ERR_NONE;
}

static void prepare_newest_batch(void)
{
	CHECK(import_from(EVENTS - BATCH + 1));
}

static bool import_all(void)
{
	return import_from(1);
}

static void read_file(const char *path, struct buf *out)
{
	char bytes[4096];
	int fd = open(path, O_RDONLY);
	out->len = 0;
	for (ssize_t n = 1; fd >= 0 && n > 0;) {
		n = read(fd, bytes, sizeof bytes);
		buf_add(out, bytes, n > 0 ? (size_t)n : 0);
	}
	if (fd >= 0)
		close(fd);
}

static struct buf damaged; /* a database that is to be salvaged */

static void damage(const char *path)
{
	int fd = open(path, O_WRONLY);
	CHECK(fd >= 0 && pwrite(fd, "\xff\xff", 2, 20) == 2);
	close(fd);
}

/* The first page of the database and the manifest of an archive. */
static void prepare_damage(void)
{
	char path[PATH_LEN];
	fill(dir, EVENTS);
	CHECK(seal_and_leave());
	snprintf(path, sizeof path, "%s/archives/1-%d.json", dir, BATCH);
	damage(path);
	snprintf(path, sizeof path, "%s/tidemark.db", dir);
	damage(path);
	read_file(path, &damaged);
}

/* As `serve --salvage` does it. */
static bool salvage(void)
{
	struct salvage_report report = {0}; /* opening may find it done already */
	struct history_verified checked;
	enum err err = open_store(dir, (struct store_options){.archive_dir = ""});
	if (!err)
		err = history_verify(reader, NULL, NULL, &checked, &fault);
	close_store();
	if (err)
		err = store_salvage(dir, NULL, &report, &fault);
	return !err && report.lost == 0;
}

/* What was damaged stays as it was. */
static void check_put_aside(void)
{
	struct buf found;
	char path[2 * PATH_LEN];
	buf_init(&found);
	DIR *d = opendir(dir);
	CHECK(d != NULL);
	for (const struct dirent *e; (e = readdir(d)) != NULL && found.len != damaged.len;) {
		snprintf(path, sizeof path, "%s/%s/tidemark.db", dir, e->d_name);
		if (strncmp(e->d_name, "damaged-", strlen("damaged-")) == 0)
			read_file(path, &found);
	}
	closedir(d);
	CHECK(found.len == damaged.len && memcmp(found.data, damaged.data, found.len) == 0);
	buf_finish(&found);
}

struct operation {
	const char *name;
	void (*prepare)(void);
	bool (*run)(void);
	void (*check)(void); /* besides what all have in common, after it has succeeded; or NULL */
	/* The events that are there before; none: first is 1. */
	uint64_t first;
	uint64_t last;
	uint64_t first_after; /* it has succeeded */
	bool session;         /* there is one */
	const char *refusal;  /* with which opening the store may fail before it has succeeded; NULL: it may not */
};

static const struct operation operations[] = {
	{"sealing", prepare_store, seal_and_leave, NULL, 1, EVENTS, 1, true, NULL},
	{"discarding", prepare_store, discard, NULL, 1, EVENTS, BATCH + 1, true, NULL},
	{"backup", prepare_nothing, back_up_all, NULL, 1, 0, 1, true, "was not finished"},
	{"update of a backup", prepare_older_copy, back_up_all, NULL, 1, BATCH, 1, true, "was not finished"},
	{"import", prepare_nothing, import_all, NULL, 1, 0, 1, false, "was interrupted"},
	{"import below a log", prepare_newest_batch, import_all, NULL, EVENTS - BATCH + 1, EVENTS, 1, false, NULL},
	{"salvage", prepare_damage, salvage, check_put_aside, 1, 0, 1, true, ""},
};

/* --- what is there --- */

static void check_event(uint64_t seq, struct slice envelope)
{
	struct buf wanted;
	buf_init(&wanted);
	put_event(&wanted, seq);
	CHECK(envelope.len > wanted.len && memcmp(envelope.p + envelope.len - wanted.len, wanted.data, wanted.len) == 0);
	buf_finish(&wanted);
}

static void check_events(uint64_t first, uint64_t last)
{
	struct history_verified checked;
	CHECK(store_first(store) == first && store_head(store) == last);
	for (uint64_t seq = first; seq <= last;) {
		struct page *p;
		struct history_query q = {.after = seq - 1, .count_max = EVENTS, .bytes_max = 1 << 20};
		CHECK(history_page(reader, &q, &p, &fault) == ERR_NONE && page_count(p) > 0);
		for (uint32_t i = 0; i < page_count(p); i++, seq++) {
			CHECK(page_entry(p, i).seq == seq);
			check_event(seq, page_envelope(p, i));
		}
		page_unref(p);
	}
	CHECK(history_verify(reader, NULL, NULL, &checked, &fault) == ERR_NONE);
	CHECK(store_topics(store) == (uint32_t)STREAMS * ((first <= BATCH && last > 0) + (last > BATCH)));
}

static enum err on_session(void *arg, const struct stored_session *session)
{
	CHECK(slice_is(session->name, "me") && session->acked == SESSION_ACKED);
	*(bool *)arg = true;
	return ERR_NONE;
}

static void check_session(bool wanted)
{
	bool found = false;
	CHECK(store_session_each(store, on_session, &found, &fault) == ERR_NONE && found == wanted);
}

/* `done`: the operation has succeeded. */
static void check_store(const struct operation *o, bool done)
{
	enum err err = open_store(dir, (struct store_options){.archive_dir = ""});
	if (!err && (done || store_head(store) != o->last || store_first(store) != o->first))
		check_events(o->first_after, EVENTS);
	else if (!err)
		check_events(o->first, o->last);
	else
		CHECK(!done && o->refusal != NULL && err == ERR_CORRUPT && strstr(fault.text, o->refusal) != NULL);
	if (!err && store_head(store) > 0)
		check_session(o->session);
	close_store();
	if (done && o->check != NULL)
		o->check();
}

/* --- every state --- */

/* What is on the disk of the unsynced changes. */
struct choice {
	uint64_t mask; /* of all but one: bit i is change i, and the last bit all from there on */
	uint32_t one;  /* of this one its sectors from `first` to `end` */
	uint32_t first;
	uint32_t end;
};

enum { NO_ONE = UINT32_MAX, MASK_BITS = 64 };
static const uint64_t all = UINT64_MAX;

static bool is_kept(void *arg, uint32_t change, uint32_t sector)
{
	const struct choice *c = arg;
	if (change == c->one)
		return c->first <= sector && sector < c->end;
	return c->mask >> (change < MASK_BITS ? change : MASK_BITS - 1) & 1;
}

static uint64_t *seen; /* hashes of states, SEEN_MAX */
static uint32_t states;
static uint32_t choices;

static bool is_seen(uint64_t hash)
{
	uint64_t i = hash % SEEN_MAX;
	for (; seen[i] != 0; i = (i + 1) % SEEN_MAX)
		if (seen[i] == hash)
			return true;
	seen[i] = hash;
	return false;
}

static uint32_t step; /* between the cuts: more where the test is slow */
static const struct operation *operation;
static uint32_t made; /* changes before the cut */
static uint32_t recorded;
static struct choice choice;

static void look(uint64_t mask, uint32_t one, uint32_t first, uint32_t end)
{
	bool done = made == recorded;
	choice = (struct choice){mask, one, first, end};
	disk_replay(made);
	choices++;
	if (is_seen(disk_lose(is_kept, &choice) + done))
		return;
	states++;
	disk_lay_out();
	check_store(operation, done);
	CHECK(operation->run());
	check_store(operation, true);
}

static void tear(uint64_t others, uint32_t one, uint32_t boundary, uint32_t sectors)
{
	look(others, one, 0, boundary);
	look(others, one, boundary, sectors);
}

static void look_at_all(void)
{
	disk_replay(made);
	uint32_t unsynced = disk_unsynced();
	look(0, NO_ONE, 0, 0);
	look(all, NO_ONE, 0, 0);
	for (uint64_t mask = 0; unsynced <= COMBINED_MAX && mask < UINT64_C(1) << unsynced; mask++)
		look(mask, NO_ONE, 0, 0);
	for (uint32_t i = 0; i < unsynced; i++) {
		disk_replay(made);
		uint32_t sectors = disk_sectors(i);
		look(all, i, 0, 0);
		look(0, i, 0, sectors);
		if (sectors < 2)
			continue;
		tear(all, i, 1, sectors);
		tear(all, i, sectors / 2, sectors);
		tear(all, i, sectors - 1, sectors);
		tear(0, i, sectors / 2, sectors);
	}
}

static void tell_state(void)
{
	if (operation != NULL)
		fprintf(stderr, "%s: after %u of %u changes, mask %llx, change %d from sector %u to %u; %s; in %s\n",
			operation->name, made, recorded, (unsigned long long)choice.mask, (int)choice.one, choice.first,
			choice.end, fault.text, top);
}

static void enumerate(void)
{
	const struct operation *o = operation;
	choices = states = 0;
	memset(seen, 0, SEEN_MAX * sizeof *seen);
	temp_dir_make(top);
	snprintf(dir, sizeof dir, "%s/store", top);
	disk_watch(top);
	o->prepare();
	disk_record();
	CHECK(o->run());
	recorded = disk_end_record();
	for (made = 0; made < recorded; made += step)
		look_at_all();
	made = recorded;
	look_at_all();
	disk_forget();
	temp_dir_remove(top);
	printf("%s: %u changes, %u choices, %u states\n", o->name, recorded, choices, states);
}

static void make_source(void)
{
	struct manifest m;
	temp_dir_make(source);
	fill(source, EVENTS);
	CHECK(open_store(source, (struct store_options){.archive_dir = ""}) == ERR_NONE);
	for (uint64_t seq = 1; seq <= EVENTS; seq += BATCH)
		CHECK(seal(seq, &m));
	close_store();
}

int main(int argc, char **argv)
{
	step = (uint32_t)(1 / test_scale() + 0.5);
	seen = calloc(SEEN_MAX, sizeof *seen);
	CHECK(seen != NULL);
	check_on_failure(tell_state);
	log_set_level(LOG_ERROR);
	setvbuf(stdout, NULL, _IONBF, 0);
	make_source();
	for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
		if (argc < 2 || strcmp(argv[1], operations[i].name) == 0) {
			operation = &operations[i];
			check_run(operation->name, enumerate);
		}
	temp_dir_remove(source);
	return check_end();
}
