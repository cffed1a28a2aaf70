/* A durable queue in a program: jobs go in from one thread and are done in another, each exactly once, through crashes.
 *
 *     queue DIR COUNT     queues jobs 1 to COUNT, does those that are not done, and ends when all are
 *
 * A job has an id, so that queueing it again after a crash does nothing. What a job results in, and how far the worker is,
 * are committed together: after a crash no job is done twice or left out. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <tidemark/tidemark.h>

static struct tm_store *store;
static uint64_t count;

static void check(enum tm_err err, const struct tm_error *error)
{
	if (err == TM_OK)
		return;
	fprintf(stderr, "queue: %s\n", error->text);
	exit(1);
}

static void *produce(void *arg)
{
	(void)arg;
	for (uint64_t job = 1; job <= count; job++) {
		struct tm_error error;
		char id[32], data[64];
		snprintf(id, sizeof id, "job-%" PRIu64, job);
		snprintf(data, sizeof data, "{\"square\":%" PRIu64 "}", job);
		struct tm_new_event event = {.stream = "jobs", .type = "square", .id = id, .data = data};
		check(tm_append(store, &event, 1, NULL, NULL, &error), &error);
	}
	return NULL;
}

/* Does one job: its result and the worker's position in one transaction. */
static void work(const struct tm_event *job)
{
	struct tm_transaction *transaction;
	struct tm_error error;
	uint64_t number = strtoull(job->data + sizeof "{\"square\":" - 1, NULL, 10);
	char data[96];
	snprintf(data, sizeof data, "{\"job\":%" PRIu64 ",\"result\":%" PRIu64 "}", number, number * number);
	struct tm_new_event result = {.stream = "results", .type = "squared", .data = data};
	check(tm_begin(store, &transaction, &error), &error);
	check(tm_add(transaction, &result, 1, NULL, NULL, &error), &error);
	check(tm_add_position(transaction, "worker", job->seq, &error), &error);
	check(tm_commit(transaction, &error), &error);
}

int main(int argc, char **argv)
{
	struct tm_error error;
	struct tm_reader *reader;
	struct tm_stream done;
	const struct tm_event *job;
	pthread_t producer;
	uint64_t position;
	if (argc != 3)
		return fprintf(stderr, "usage: queue DIR COUNT\n"), 2;
	count = strtoull(argv[2], NULL, 10);
	check(tm_open(argv[1], NULL, &store, &error), &error);
	enum tm_err err = tm_position(store, "worker", &position, &error);
	if (err != TM_NOT_FOUND) /* the first time it is 0 */
		check(err, &error);
	const char *const jobs[] = {"jobs", NULL};
	check(tm_reader_open(store, &(struct tm_reader_options){.after = position, .streams = jobs}, &reader, &error),
	      &error);
	if (pthread_create(&producer, NULL, produce, NULL) != 0)
		return fprintf(stderr, "queue: no thread\n"), 1;
	while (tm_find_stream(store, "results", &done, NULL) != TM_OK || done.count < count) {
		check(tm_reader_next(reader, -1, &job, &error), &error);
		work(job);
		position = job->seq;
	}
	pthread_join(producer, NULL);
	tm_reader_close(reader);
	/* The log stays small: what was worked off goes into archives. */
	check(tm_seal(store, position, NULL, NULL, &error), &error);
	tm_close(store);
	return 0;
}
