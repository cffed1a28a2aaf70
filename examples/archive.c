/* An archive reader: proves archives and prints their events, without the store that they come from.
 *
 *     archive FILE... */
#include <inttypes.h>
#include <stdio.h>
#include <tidemark/tidemark.h>

static enum tm_err print(struct tm_archive *archive, struct tm_error *error)
{
	const struct tm_event *event;
	enum tm_err err;
	while ((err = tm_archive_next(archive, &event, error)) == TM_OK)
		puts(event->json);
	return err == TM_END ? TM_OK : err;
}

int main(int argc, char **argv)
{
	struct tm_error error;
	for (int i = 1; i < argc; i++) {
		struct tm_archive *archive = NULL;
		struct tm_archive_info info;
		enum tm_err err = tm_archive_verify(argv[i], NULL, &info, &error);
		if (err == TM_OK)
			err = tm_archive_open(argv[i], &archive, &error);
		if (err == TM_OK)
			err = print(archive, &error);
		tm_archive_close(archive);
		if (err != TM_OK) {
			fprintf(stderr, "archive: %s\n", error.text);
			return 1;
		}
		fprintf(stderr, "%s: events %" PRIu64 " to %" PRIu64 "\n", argv[i], info.first, info.last);
	}
	return 0;
}
