#include "engine/retention/archiver.h"
#include "base/system/thread.h"
#include "store/archives/archive_set.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "base/system/log.h"
#include "base/system/random.h"
#include "engine/retention/age_clock.h"
#include "engine/retention/retention.h"

enum {
	TICK_MS = 1000,
	JOBS_MAX = 16,
	STEP_PAUSE_MS = 5, /* between two eviction steps: publishers come first */
	FAILED_MIN_MS = 1000,
	FAILED_MAX_MS = 60 * 1000,
	SEGMENT_EVENTS = 1000000,
	HALVINGS_MAX = 10,
	SESSION_GRACE_MS = 10 * 60 * 1000,
	BEHIND_MS = 1000, /* adjusting a clock (NTP) sets it back by less */
	JUMP_MS = 10 * 1000,
	SEGMENT_BYTES = 256 * 1024 * 1024, /* of the log; an archive is about a fifth of it */
};

struct archiver {
	struct store *store;
	struct writer *writer;
	struct archiver_options options;
	struct reader *reader;
	struct thread thread;
	/* The thread's own. */
	unsigned attempts; /* failed ones in a row */
	unsigned halvings; /* how often the size of an archive was halved because the disk was full */
	int64_t offset_ms; /* wall clock minus time since boot */

	atomic_bool closing;  /* also read while something is being sealed */
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t wake;
	struct list jobs;
	int job_count;
	struct archiver_figures figures;
};

static bool on_stop(void *arg)
{
	const struct archiver *k = arg;
	return atomic_load(&k->closing);
}

static void set_working(struct archiver *k, bool working)
{
	pthread_mutex_lock(&k->lock);
	k->figures.working = working;
	pthread_mutex_unlock(&k->lock);
}

static enum err seal(struct archiver *k, uint64_t first, uint64_t last, struct manifest *out, struct fault *fault)
{
	struct seal_watch watch = {.stop = on_stop, .arg = k};
	int64_t start = clock_mono_ms();
	bool is_new = !seal_find_range(k->store, first, last);
	enum err err = seal_range(k->reader, (struct seq_range){first, last}, k->options.archives, &watch, out, fault);
	if (err)
		return err;
	log_info("sealed an archive", "file=%s events=%" PRIu64 " bytes=%" PRIu64 " ms=%" PRId64, out->file, out->count,
		 out->bytes, (clock_mono_ms() - start));
	pthread_mutex_lock(&k->lock);
	k->figures.sealed += is_new;
	pthread_mutex_unlock(&k->lock);
	return ERR_NONE;
}

/* --- evicting --- */

/* A transaction of the writer's that the archiver waits for. */
struct change {
	struct write_op op; /* first: the writer gives it back */
	struct archiver *archiver;
	bool done;
};

static void on_done(struct write_op *op)
{
	struct change *c = (struct change *)op;
	pthread_mutex_lock(&c->archiver->lock);
	c->done = true;
	pthread_cond_broadcast(&c->archiver->wake);
	pthread_mutex_unlock(&c->archiver->lock);
}

static enum err commit(struct archiver *k, struct change *c, struct fault *fault)
{
	c->archiver = k;
	c->done = false;
	c->op.done = on_done;
	enum err err = writer_submit(k->writer, &c->op, fault);
	if (err)
		return err;
	pthread_mutex_lock(&k->lock);
	while (!c->done)
		pthread_cond_wait(&k->wake, &k->lock);
	pthread_mutex_unlock(&k->lock);
	if (c->op.err)
		*fault = c->op.fault;
	return c->op.err;
}

struct eviction {
	struct change change; /* first */
	uint64_t upto;
	uint64_t chain_seq;
	const char *chain; /* NULL: the events are discarded */
	uint64_t evicted_upto;
};

static enum err evict_change(struct write_op *op, struct store *store, struct fault *fault)
{
	struct eviction *l = (struct eviction *)op;
	return store_evict(store, l->upto, l->chain_seq, l->chain, &l->evicted_upto, fault);
}

/* One step, in a commit of the writer's. */
static enum err evict_step(struct archiver *k, struct eviction *l, struct fault *fault)
{
	uint64_t before = store_log_first(k->store);
	l->change.op = (struct write_op){.change = evict_change, .evict_upto = l->upto};
	enum err err = commit(k, &l->change, fault);
	if (err)
		return err;
	assert(l->evicted_upto + 1 >= before);
	pthread_mutex_lock(&k->lock);
	k->figures.evicted += l->evicted_upto + 1 - before;
	pthread_mutex_unlock(&k->lock);
	return ERR_NONE;
}

static void pause_ms(struct archiver *k, int64_t ms)
{
	pthread_mutex_lock(&k->lock);
	if (!atomic_load(&k->closing))
		clock_cond_wait(&k->wake, &k->lock, ms);
	pthread_mutex_unlock(&k->lock);
}

static enum err evict(struct archiver *k, uint64_t upto, const struct manifest *m, struct fault *fault)
{
	struct eviction l = {.upto = upto, .chain_seq = m != NULL ? m->last : upto, .chain = m != NULL ? m->chain : NULL};
	enum err err = ERR_NONE;
	while (!err && store_log_first(k->store) <= upto) {
		if (atomic_load(&k->closing))
			return fault_set(fault, ERR_CLOSED, "it was interrupted");
		err = evict_step(k, &l, fault);
		/* A busy queue is not an error: it empties. */
		if (err == ERR_BUSY)
			err = ERR_NONE;
		pause_ms(k, STEP_PAUSE_MS);
	}
	return err;
}

/* --- retention --- */

/* How many events of this log make an archive. */
static uint64_t segment_events(uint64_t used, uint64_t events)
{
	uint64_t each = events > 0 ? used / events + 1 : 1;
	uint64_t n = SEGMENT_BYTES / each + 1;
	return n < SEGMENT_EVENTS ? n : SEGMENT_EVENTS;
}

/* Seals and evicts one segment, up to `cut` at most. */
static enum err take_segment(struct archiver *k, uint64_t cut, uint64_t used, struct fault *fault)
{
	uint64_t first = store_log_first(k->store);
	if (k->options.discard)
		return evict(k, cut, NULL, fault);
	struct manifest m;
	/* An archive that was made before a restart, or on request, is compared with the log again. */
	if (archive_set_find(store_archives(k->store), first, &m) && m.last <= cut) {
		first = m.first;
	} else {
		uint64_t most = (segment_events(used, store_head(k->store) + 1 - first) >> k->halvings) + 1;
		m.last = cut - first + 1 > most ? first + most - 1 : cut;
	}
	assert(first <= m.last && m.last <= cut);
	enum err err = seal(k, first, m.last, &m, fault);
	/* After ERR_FULL a smaller archive may still fit; evicting its events makes room for a larger one. */
	if (err == ERR_FULL && k->halvings < HALVINGS_MAX)
		k->halvings++;
	else if (!err && k->halvings > 0)
		k->halvings--;
	return err ? err : evict(k, m.last, &m, fault);
}

static enum err retain(struct archiver *k, struct fault *fault)
{
	const struct retention limits = {k->store, k->reader, k->options.ages, &k->options};
	uint64_t used;
	uint64_t cut = 0;
	enum err err = ERR_NONE;
	while (!err && !atomic_load(&k->closing)) {
		err = history_used(k->reader, &used, fault);
		if (err)
			break;
		pthread_mutex_lock(&k->lock);
		k->figures.used = used;
		pthread_mutex_unlock(&k->lock);
		if (cut == 0)
			err = retention_cut(&limits, used, &cut, fault);
		if (err || cut < store_log_first(k->store))
			break;
		set_working(k, true);
		err = take_segment(k, cut, used, fault);
	}
	set_working(k, false);
	return err;
}

/* --- the thread --- */

/* Counts a failed attempt. A reason is logged once, until it changes. */
static void note_result(struct archiver *k, enum err err, const struct fault *fault)
{
	k->attempts = err && err != ERR_CLOSED ? k->attempts + 1 : 0;
	pthread_mutex_lock(&k->lock);
	bool news = k->attempts > 0 && strcmp(k->figures.reason, fault->text) != 0;
	k->figures.failed += k->attempts > 0;
	snprintf(k->figures.reason, sizeof k->figures.reason, "%s", k->attempts > 0 ? fault->text : "");
	pthread_mutex_unlock(&k->lock);
	if (news)
		log_error("retention has failed: the events stay in the log, and it is tried again", "why=\"%s\"",
			  fault->text);
}

static struct archiver_job *next_job(struct archiver *k)
{
	struct archiver_job *job = NULL;
	pthread_mutex_lock(&k->lock);
	if (!list_empty(&k->jobs)) {
		job = LIST_ITEM(k->jobs.next, struct archiver_job, link);
		list_remove(&job->link);
		assert(k->job_count > 0);
		k->job_count--;
	}
	pthread_mutex_unlock(&k->lock);
	return job;
}

static enum err delete_archive(struct archiver *k, const char *file, struct fault *fault)
{
	enum err err = seal_delete(k->reader, file, fault);
	if (!err)
		log_info("deleted an archive", "file=%s", file);
	return err;
}

static void run_jobs(struct archiver *k)
{
	for (struct archiver_job *job; (job = next_job(k)) != NULL;) {
		set_working(k, true);
		if (job->file[0] != '\0')
			job->err = delete_archive(k, job->file, &job->fault);
		else
			job->err = seal(k, job->first, job->last, &job->manifest, &job->fault);
		set_working(k, false);
		job->done(job);
	}
}

/* Which sessions had readers when the server ended is not known: after a start, all get SESSION_GRACE_MS to reconnect. */
static void expire_sessions(struct archiver *k, int64_t started_ms)
{
	int64_t expiry_ms = k->options.session_expiry_ms;
	int64_t grace_ms = expiry_ms < SESSION_GRACE_MS ? expiry_ms : SESSION_GRACE_MS;
	if (expiry_ms == 0 || clock_mono_ms() - started_ms < grace_ms)
		return;
	uint64_t count = sessions_expire(k->options.sessions, expiry_ms);
	if (count == 0)
		return;
	log_info("sessions have expired", "count=%" PRIu64, count);
	writer_poke(k->writer);
}

/* --- clocks --- */

struct save {
	struct change change; /* first */
	struct age_clock *ages;
};

static enum err save_change(struct write_op *op, struct store *store, struct fault *fault)
{
	return age_clock_save(((struct save *)op)->ages, store, fault);
}

/* If saving fails, the next tick tries again. */
static void count_ages(struct archiver *k)
{
	struct fault fault;
	struct age_clock *ages = k->options.ages;
	struct save save = {{.op = {.change = save_change}}, ages};
	if (!retention_has_age(&k->options) && k->options.session_expiry_ms == 0)
		return;
	if (age_clock_tick(ages) && commit(k, &save.change, &fault) == ERR_NONE)
		age_clock_saved(ages);
}

/* While the clock is behind the newest event, new events get the time of that one. */
static void check_clock(struct archiver *k)
{
	int64_t offset = clock_wall_ms() - clock_boot_ms();
	int64_t jump = offset - k->offset_ms;
	int64_t behind = store_last_time(k->store) - clock_wall_ms();
	bool jumped = jump <= -JUMP_MS || jump >= JUMP_MS;
	k->offset_ms = offset;
	behind = behind > BEHIND_MS ? behind : 0;
	if (jumped)
		log_warn("the clock was set", "by_seconds=%" PRId64, (jump / 1000));
	pthread_mutex_lock(&k->lock);
	bool was = k->figures.clock_behind_ms > 0;
	k->figures.clock_behind_ms = behind;
	k->figures.clock_jumps += jumped;
	pthread_mutex_unlock(&k->lock);
	if (behind > 0 && (!was || jumped))
		log_warn("the clock is behind the newest event: times stand still until it has caught up",
			 "seconds=%" PRId64, (behind / 1000));
	else if (behind == 0 && was)
		log_info("the clock has caught up with the newest event", NULL);
}

static void *work(void *arg)
{
	struct archiver *k = arg;
	int64_t started_ms = clock_mono_ms();
	int64_t retry_ms = 0; /* monotonic: not before */
	while (!atomic_load(&k->closing)) {
		run_jobs(k);
		archive_set_find_missing(store_archives(k->store));
		check_clock(k);
		count_ages(k);
		expire_sessions(k, started_ms);
		if (clock_mono_ms() >= retry_ms) {
			struct fault fault = {0};
			note_result(k, retain(k, &fault), &fault);
			retry_ms = k->attempts == 0 ? 0
						    : clock_mono_ms() + random_backoff_ms(k->attempts - 1, FAILED_MIN_MS,
											  FAILED_MAX_MS);
		}
		pthread_mutex_lock(&k->lock);
		if (!atomic_load(&k->closing) && list_empty(&k->jobs))
			clock_cond_wait(&k->wake, &k->lock, TICK_MS);
		pthread_mutex_unlock(&k->lock);
	}
	run_jobs(k); /* `closing` ends each at once, with ERR_CLOSED */
	return NULL;
}

enum err archiver_create(struct store *store, struct writer *writer, struct archiver_options options, struct archiver **out,
			 struct fault *fault)
{
	*out = NULL;
	struct archiver *k = calloc(1, sizeof *k);
	if (k == NULL)
		return fault_nomem(fault);
	k->store = store;
	k->writer = writer;
	k->options = options;
	k->offset_ms = clock_wall_ms() - clock_boot_ms();
	list_init(&k->jobs);
	pthread_mutex_init(&k->lock, NULL);
	clock_cond_init(&k->wake);
	enum err err = reader_open(store, &k->reader, fault);
	if (!err)
		err = thread_start(&k->thread, "archiver", work, k, fault);
	if (err) {
		archiver_destroy(k);
		return err;
	}
	*out = k;
	return ERR_NONE;
}

void archiver_close(struct archiver *k)
{
	pthread_mutex_lock(&k->lock);
	atomic_store(&k->closing, true);
	pthread_cond_broadcast(&k->wake);
	pthread_mutex_unlock(&k->lock);
	thread_join(&k->thread);
}

void archiver_destroy(struct archiver *k)
{
	if (k == NULL)
		return;
	archiver_close(k);
	reader_close(k->reader);
	pthread_cond_destroy(&k->wake);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

enum err archiver_submit(struct archiver *k, struct archiver_job *job, struct fault *fault)
{
	enum err err = ERR_NONE;
	pthread_mutex_lock(&k->lock);
	if (atomic_load(&k->closing))
		err = fault_set(fault, ERR_CLOSED, "the server is shutting down");
	else if (k->job_count == JOBS_MAX)
		err = fault_set(fault, ERR_BUSY, "%d archive jobs are waiting already: try again later", JOBS_MAX);
	if (!err) {
		list_append(&k->jobs, &job->link);
		k->job_count++;
		pthread_cond_broadcast(&k->wake);
	}
	pthread_mutex_unlock(&k->lock);
	return err;
}

void archiver_read(struct archiver *k, struct archiver_figures *out)
{
	pthread_mutex_lock(&k->lock);
	*out = k->figures;
	pthread_mutex_unlock(&k->lock);
}

struct archiver_options archiver_limits(const struct archiver *k)
{
	return k->options;
}
