/* One event out of an archive, by its seq: opened again each time, as after a restart. */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>

#include "base/system/clock.h"
#include "base/system/random.h"
#include "event/envelope.h"
#include "load/command.h"
#include "load/histogram.h"
#include "store/archive/archive.h"

static void find(const char *path, uint64_t seq)
{
	struct fault fault;
	struct archive *a;
	struct archive_lines lines;
	uint32_t frame;
	if (archive_open(path, &a, &fault) || archive_seek(a, seq, &frame, &fault) ||
	    archive_unpack(a, frame, &lines, &fault))
		die("%s", fault.text);
	struct envelope e;
	uint32_t i = 0;
	while (i < lines.count && envelope_read(archive_line(&lines, i), &e) && e.seq != seq)
		i++;
	if (i == lines.count)
		die("%s: event %" PRIu64 " is not there", path, seq);
	archive_close(a);
}

void open_command(const struct args *a)
{
	const char *path = args_text(a, "path", NULL);
	uint64_t events = args_number(a, "events", 1);
	uint64_t tries = args_number(a, "tries", 1000);
	static struct histogram times;
	mallopt(M_MMAP_THRESHOLD, 4 * 1024 * 1024); /* as the server does */
	mallopt(M_TRIM_THRESHOLD, 32 * 1024 * 1024);
	for (uint64_t i = 0; i < tries; i++) {
		int64_t start_us = clock_mono_us();
		find(path, random_u64() % events + 1);
		histogram_add(&times, clock_mono_us() - start_us);
	}
	figure("p50_us", (double)histogram_at(&times, 0.5));
	figure("p99_us", (double)histogram_at(&times, 0.99));
}
