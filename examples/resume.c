/* A reader that resumes: prints events, and the next run goes on where this one stopped.
 *
 *     resume DIR NAME COUNT     prints the next COUNT events that the reader NAME has not seen, as they come
 *
 * The position is saved after what was printed was flushed: a crash between the two repeats events, and never loses one. */
#include <stdio.h>
#include <stdlib.h>
#include <tidemark/tidemark.h>

static void check(enum tm_err err, const struct tm_error *error)
{
	if (err == TM_OK)
		return;
	fprintf(stderr, "resume: %s\n", error->text);
	exit(1);
}

int main(int argc, char **argv)
{
	struct tm_store *store;
	struct tm_reader *reader;
	struct tm_error error;
	const struct tm_event *event;
	uint64_t position;
	if (argc != 4)
		return fprintf(stderr, "usage: resume DIR NAME COUNT\n"), 2;
	check(tm_open(argv[1], NULL, &store, &error), &error);
	enum tm_err err = tm_position(store, argv[2], &position, &error);
	if (err != TM_NOT_FOUND) /* a new reader begins with the first event */
		check(err, &error);
	check(tm_reader_open(store, &(struct tm_reader_options){.after = position}, &reader, &error), &error);
	for (long left = strtol(argv[3], NULL, 10); left > 0;) {
		err = tm_reader_next(reader, 1000, &event, &error);
		if (err == TM_GONE && tm_reader_skip(reader) > 0) {
			fprintf(stderr, "resume: events were discarded\n");
			continue;
		}
		if (err == TM_END) /* nobody has appended anything for a second */
			break;
		check(err, &error);
		puts(event->json);
		left--;
	}
	if (fflush(stdout) != 0)
		return perror("resume"), 1;
	check(tm_position_save(store, argv[2], tm_reader_position(reader), &error), &error);
	tm_reader_close(reader);
	tm_close(store);
	return 0;
}
