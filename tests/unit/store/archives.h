/* Archives for tests: made of events that follow from their seq, written to a file. */
#ifndef TESTS_ARCHIVES_H
#define TESTS_ARCHIVES_H

#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

#include "base/system/clock.h"
#include "event/page_build.h"
#include "store/archive/archive.h"
#include "store/archive/archive_check.h"
#include "store/archive/archive_write.h"
#include "unit/check.h"

enum { BEGIN_MS = 1790000000 }; /* times 1000: some day in 2026 */

static struct fault fault;

/* The envelope of event `seq`, whose data has `size` bytes or a few more; two events share a time. */
static inline void write_envelope(struct buf *out, uint64_t seq, size_t size)
{
	char time[CLOCK_TEXT_LEN + 1] = "";
	clock_format(INT64_C(1000) * BEGIN_MS + (int64_t)(seq / 2), time);
	buf_printf(out, "{\"seq\":%llu,\"time\":\"%.*s\",\"stream\":\"s%d\",\"type\":\"t\"", (unsigned long long)seq,
		   CLOCK_TEXT_LEN, time, (int)(seq % 3));
	if (seq % 4 == 0)
		buf_printf(out, ",\"id\":\"i%llu\"", (unsigned long long)seq);
	buf_printf(out, ",\"data\":\"");
	/* Digits that zstd cannot foresee. */
	uint64_t state = seq * UINT64_C(0x9E3779B97F4A7C15) + 1;
	for (size_t n = 0; n < size; n += 16) {
		state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		buf_printf(out, "%016llx", (unsigned long long)state);
	}
	buf_adds(out, "\"}");
	CHECK(!buf_failed(out));
}

static inline struct page *page_of(uint64_t first, uint64_t last, size_t size)
{
	struct page_builder *b = page_builder_create(ENCODING_LINE, "", first - 1, 0);
	struct buf text;
	CHECK(b != NULL);
	for (uint64_t seq = first; seq <= last; seq++) {
		buf_init(&text);
		write_envelope(&text, seq, size);
		CHECK(page_builder_add_envelope(b, seq, buf_slice(&text), INT64_C(1000) * BEGIN_MS + (int64_t)(seq / 2),
						0) == ERR_NONE);
		buf_finish(&text);
	}
	struct page *p = page_builder_take(b, last);
	CHECK(p != NULL);
	return p;
}

static inline enum err into_buf(void *arg, struct slice bytes, struct fault *f)
{
	(void)f;
	buf_add(arg, bytes.p, bytes.len);
	return ERR_NONE;
}

#define EPOCH "0123456789abcdef"
static struct line archives_line = {1, EPOCH};
static const struct lineage archives_lineage = {&archives_line, 1};

/* An archive of events first to last in memory. */
static inline void make_archive(struct buf *out, uint64_t first, uint64_t last, size_t size, uint64_t page_events,
				struct archive_options options, const char *previous, struct manifest *m)
{
	struct archive_writer *w;
	CHECK(archive_writer_create(options, &archives_lineage, previous, (struct archive_output){into_buf, out}, &w,
				    &fault) == ERR_NONE);
	for (uint64_t seq = first; seq <= last; seq += page_events) {
		struct page *p = page_of(seq, seq + page_events - 1 < last ? seq + page_events - 1 : last, size);
		CHECK(archive_writer_add(w, p, &fault) == ERR_NONE);
		page_unref(p);
	}
	CHECK(archive_writer_end(w, m, &fault) == ERR_NONE && !buf_failed(out));
	archive_writer_destroy(w);
}

static inline void write_file(const char *path, struct slice bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	CHECK(fd >= 0 && write(fd, bytes.p, bytes.len) == (ssize_t)bytes.len);
	close(fd);
}

static inline void write_manifest(const char *path, const struct manifest *m)
{
	struct buf text;
	buf_init(&text);
	manifest_write(&text, m);
	buf_addc(&text, '\n');
	CHECK(!buf_failed(&text));
	write_file(path, buf_slice(&text));
	buf_finish(&text);
}

/* The manifest first, as a process that has both files would. */
static inline enum err survey_with_manifest(const char *path)
{
	struct manifest expected;
	struct manifest found;
	fault = (struct fault){0};
	enum err err = manifest_read(path, &expected, &fault);
	return err ? err : archive_check(path, &(struct archive_check){.expected = &expected}, &found, &fault);
}

#endif
