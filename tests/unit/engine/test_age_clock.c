/* The clock that ages are counted by: over restarts of the machine, and with few marks for a long time. */
#include <inttypes.h>

#include "base/system/clock.h"
#include "base/system/sys.h"
#include "engine/retention/age_clock.h"
#include "unit/temp_dir.h"

enum { EVENTS = 5000, SECOND_MS = 1000, DAY_MS = 86400 * SECOND_MS, YEAR_DAYS = 365, SLOW_MS = 600 * SECOND_MS };
#define YEAR_MS ((int64_t)YEAR_DAYS * DAY_MS)

static const struct batch_limits limits = {1 << 20, 1 << 20};
static char dir[TEMP_DIR_LEN];
static struct store *store;
static struct reader *reader;
static struct age_clock *ages;
static struct fault fault;

static void commit(void)
{
	struct committed *c;
	CHECK(store_commit(store, &c, &fault) == ERR_NONE);
	committed_destroy(c);
}

static void set_up(int events)
{
	struct receipt r;
	struct batch *b;
	char *lines = malloc((size_t)events * 16 + 1);
	size_t len = 0;
	temp_dir_make(dir);
	CHECK(store_open(dir, (struct store_options){0}, &store, &fault) == ERR_NONE);
	CHECK(reader_open(store, &reader, &fault) == ERR_NONE);
	for (int i = 0; i < events; i++)
		len += (size_t)sprintf(lines + len, "{\"data\":%d}\n", i % 10);
	CHECK(batch_parse_take(lines, len, BATCH_LINES, limits, &b, &fault) == ERR_NONE);
	CHECK(store_append(store, b, NULL, &r, &fault) == ERR_NONE);
	commit();
	receipt_finish(&r);
	batch_destroy(b);
}

static void tear_down(void)
{
	age_clock_destroy(ages);
	reader_close(reader);
	store_close(store);
	temp_dir_remove(dir);
}

static void open_clock(void)
{
	CHECK(age_clock_create(store, &ages, &fault) == ERR_NONE);
}

static void put_clock(const char *boot, int64_t boot_ms, int64_t wall_ms, int64_t age_ms)
{
	char text[128];
	snprintf(text, sizeof text, "%s %" PRId64 " %" PRId64, boot, boot_ms, wall_ms);
	CHECK(store_note_put(store, "clock", slice_of(""), age_ms, slice_of(text), &fault) == ERR_NONE);
	commit();
}

static void put_mark(uint64_t seq, int64_t age_ms)
{
	char key[20];
	snprintf(key, sizeof key, "%016" PRIx64, seq);
	CHECK(store_note_put(store, "age", slice_of(key), age_ms, slice_of(""), &fault) == ERR_NONE);
}

/* It is at least `ms` later than at the note, and not much more. */
static void check_passed(int64_t since_ms, int64_t ms)
{
	int64_t passed = age_clock_now(ages) - since_ms;
	CHECK(passed >= ms && passed < ms + SLOW_MS);
}

/* Fails where the machine's clock is believed whatever it says. */
static void a_restart_of_the_machine_counts_for_a_day_at_most(void)
{
	const int64_t age = 1000000;
	const struct {
		int64_t off_ms; /* as the machine's clock has it */
		int64_t counts_ms;
		int64_t surplus_ms;
	} cases[] = {{60 * SECOND_MS, 60 * SECOND_MS, 0}, {YEAR_MS, DAY_MS, YEAR_MS - DAY_MS}, {-YEAR_MS, 0, 0}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		set_up(1);
		put_clock("another", 0, clock_wall_ms() - cases[i].off_ms, age);
		open_clock();
		check_passed(age, cases[i].counts_ms);
		int64_t surplus = age_clock_surplus(ages);
		CHECK(surplus >= cases[i].surplus_ms && surplus < cases[i].surplus_ms + SLOW_MS);
		tear_down();
	}
}

static void a_restart_of_the_server_counts_as_it_was(void)
{
	const int64_t age = 1000000;
	char boot[40];
	sys_boot(boot, sizeof boot);
	set_up(1);
	put_clock(boot, clock_boot_ms() - 5 * SECOND_MS, clock_wall_ms() - YEAR_MS, age);
	open_clock();
	check_passed(age, 5 * SECOND_MS);
	CHECK(age_clock_surplus(ages) >= YEAR_MS - SLOW_MS);
	tear_down();
}

static uint64_t seek(int64_t ms)
{
	uint64_t seq = 0;
	CHECK(age_clock_seek(ages, reader, ms, &seq, &fault) == ERR_NONE);
	return seq;
}

static void save(void)
{
	CHECK(age_clock_tick(ages));
	CHECK(age_clock_save(ages, store, &fault) == ERR_NONE);
	commit();
	age_clock_saved(ages);
}

static void events_before_the_first_mark_are_as_old_as_their_time_says(void)
{
	set_up(3);
	open_clock();
	CHECK(seek(age_clock_now(ages) - YEAR_MS) == 0);
	CHECK(seek(age_clock_now(ages) + YEAR_MS) == 3);
	save();
	CHECK(!age_clock_tick(ages)); /* nothing is new */
	tear_down();
}

static void marks_of_events_that_are_not_there_are_forgotten(void)
{
	set_up(3);
	put_mark(2, 1000);
	put_mark(9, 2000);
	commit();
	open_clock();
	CHECK(seek(1001) == 2 && seek(2001) == 2);
	save();
	age_clock_destroy(ages);
	open_clock();
	CHECK(seek(INT64_MAX) == 3);
	tear_down();
}

static enum err on_note(void *arg, struct slice key, int64_t at, struct slice value)
{
	(void)key;
	(void)at;
	(void)value;
	++*(int *)arg;
	return ERR_NONE;
}

/* A mark a second for more than an hour. Fails where thin_out drops none, or too many. */
static void old_marks_lie_farther_apart(void)
{
	int64_t began = clock_wall_ms() - (int64_t)EVENTS * SECOND_MS;
	int kept = 0;
	set_up(EVENTS);
	for (int i = 1; i < EVENTS; i++)
		put_mark((uint64_t)i, began + (int64_t)i * SECOND_MS);
	commit();
	open_clock();
	save();
	age_clock_destroy(ages);
	CHECK(store_note_each(store, "age", on_note, &kept, &fault) == ERR_NONE);
	CHECK(kept < 500);
	open_clock();
	for (int age_s = 1; age_s < EVENTS; age_s += 7) {
		int exact = EVENTS - age_s - 1;
		int found = (int)seek(began + (int64_t)(EVENTS - age_s) * SECOND_MS);
		CHECK(found <= exact && found >= exact - age_s / 16 - 1);
	}
	tear_down();
}

int main(void)
{
	RUN(a_restart_of_the_machine_counts_for_a_day_at_most);
	RUN(a_restart_of_the_server_counts_as_it_was);
	RUN(events_before_the_first_mark_are_as_old_as_their_time_says);
	RUN(marks_of_events_that_are_not_there_are_forgotten);
	RUN(old_marks_lie_farther_apart);
	return check_end();
}
