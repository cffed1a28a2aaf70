#include "store/archive/archive.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/data/checksum.h"
#include "base/system/clock.h"
#include "event/envelope.h"
#include "store/archive/seekable.h"

enum {
	NAME_LEN = 128,
	/* Packed bytes that include the first block of a frame, and so the beginning of its first line. */
	PEEK_PACKED = 140 * 1024,
	PEEK_RAW = 256,
	KEPT_RAW = 4 * 1024 * 1024,
	NO_FRAME = UINT32_MAX,
	WINDOW_MIN = 512 * 1024, /* bytes in which the end of a frame is searched for first */
};

/* The first event of a frame. */
struct frame_start {
	uint64_t seq; /* 0: not read yet */
	int64_t time_ms;
};

struct archive {
	char name[NAME_LEN];
	int fd;
	uint64_t size;
	struct seek_table table;
	struct frame_start *starts;
	ZSTD_DCtx *context;
	struct buf packed;
	struct buf raw; /* the lines of `frame` */
	uint32_t frame;
	uint32_t *ends;
	uint32_t count;
	uint32_t cap;
};

static enum err read_at(struct archive *a, uint64_t at, char *out, size_t n, struct fault *fault)
{
	for (size_t done = 0; done < n;) {
		ssize_t got = pread(a->fd, out + done, n - done, (off_t)(at + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fault_set(fault, ERR_IO, "cannot be read: %s", strerror(errno));
		if (got == 0)
			return fault_set(fault, ERR_CORRUPT, "it has become shorter");
		done += (size_t)got;
	}
	return ERR_NONE;
}

static enum err read_table(struct archive *a, struct fault *fault)
{
	unsigned char footer[SEEKABLE_FOOTER];
	uint64_t len;
	if (a->size < SEEKABLE_FOOTER)
		return fault_set(fault, ERR_CORRUPT, "it has %" PRIu64 " bytes, which is too short for an archive", a->size);
	enum err err = read_at(a, a->size - SEEKABLE_FOOTER, (char *)footer, sizeof footer, fault);
	if (!err)
		err = seekable_footer(footer, a->size, &len, fault);
	if (err)
		return err;
	char *bytes = malloc(len);
	if (bytes == NULL)
		return fault_nomem(fault);
	err = read_at(a, a->size - len, bytes, len, fault);
	if (!err)
		err = seekable_table((struct slice){bytes, len}, a->size, &a->table, fault);
	free(bytes);
	return err;
}

static bool add_frame(struct seek_table *t, struct seek_frame f)
{
	struct seek_frame *frames = realloc(t->frames, ((size_t)t->count + 1) * sizeof *frames);
	if (frames == NULL)
		return false;
	t->frames = frames;
	t->frames[t->count++] = f;
	t->raw += f.raw;
	return true;
}

/* The packed length of the frame at `at`; 0: there is none. */
static size_t measure_frame(struct archive *a, uint64_t at, struct seek_frame *out)
{
	assert(at < a->size);
	for (size_t n = WINDOW_MIN;; n *= 4) {
		uint64_t left = a->size - at;
		size_t len = left < n ? (size_t)left : n;
		a->packed.len = 0;
		if (!buf_reserve(&a->packed, len) || read_at(a, at, a->packed.data, len, NULL) != ERR_NONE)
			return 0;
		size_t packed = ZSTD_findFrameCompressedSize(a->packed.data, len);
		unsigned long long raw = ZSTD_getFrameContentSize(a->packed.data, len);
		if (!ZSTD_isError(packed) && raw > 0 && raw <= SEEKABLE_RAW_MAX) {
			*out = (struct seek_frame){at, (uint32_t)packed, (uint32_t)raw, 0};
			return packed;
		}
		if (len == left || n > SEEKABLE_RAW_MAX || (raw != ZSTD_CONTENTSIZE_UNKNOWN && raw > SEEKABLE_RAW_MAX))
			return 0;
	}
}

/* The next offset from `at` on that looks like a frame; the size of the file if there is none. */
static uint64_t find_magic(struct archive *a, uint64_t at)
{
	static const unsigned char magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
	char chunk[4096];
	while (at + sizeof magic <= a->size) {
		size_t n = a->size - at < sizeof chunk ? (size_t)(a->size - at) : sizeof chunk;
		if (read_at(a, at, chunk, n, NULL) == ERR_NONE) {
			const char *found = memmem(chunk, n, magic, sizeof magic);
			if (found != NULL)
				return at + (uint64_t)(found - chunk);
		}
		at += n > sizeof magic ? n - sizeof magic + 1 : n;
	}
	return a->size;
}

/* Makes a table of the frames that can be found. Their checksums are verified when they are unpacked. */
static enum err find_frames(struct archive *a, struct fault *fault)
{
	for (uint64_t at = find_magic(a, 0); at < a->size;) {
		struct seek_frame f;
		size_t packed = measure_frame(a, at, &f);
		if (packed > 0 && !add_frame(&a->table, f))
			return fault_nomem(fault);
		at = find_magic(a, at + (packed > 0 ? packed : 1));
	}
	return ERR_NONE;
}

static enum err open_archive(const char *path, bool damaged, struct archive **out, struct fault *fault)
{
	*out = NULL;
	struct archive *a = calloc(1, sizeof *a);
	if (a == NULL)
		return fault_nomem(fault);
	const char *slash = strrchr(path, '/');
	snprintf(a->name, sizeof a->name, "%s", slash != NULL ? slash + 1 : path);
	a->frame = NO_FRAME;
	struct stat st;
	enum err err = ERR_NONE;
	a->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (a->fd < 0 || fstat(a->fd, &st) != 0)
		err = fault_set(fault, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot be opened: %s", strerror(errno));
	else if (!S_ISREG(st.st_mode))
		err = fault_set(fault, ERR_INVALID, "is not a file");
	if (!err) {
		a->size = (uint64_t)st.st_size;
		err = damaged ? find_frames(a, fault) : read_table(a, fault);
	}
	if (!err) {
		a->starts = calloc((size_t)a->table.count + 1, sizeof *a->starts);
		a->context = ZSTD_createDCtx();
		if (a->starts == NULL || a->context == NULL)
			err = fault_nomem(fault);
	}
	if (err) {
		fault_in(fault, a->name, err);
		archive_close(a);
		return err;
	}
	*out = a;
	return ERR_NONE;
}

enum err archive_open(const char *path, struct archive **out, struct fault *fault)
{
	return open_archive(path, false, out, fault);
}

enum err archive_open_damaged(const char *path, struct archive **out, struct fault *fault)
{
	return open_archive(path, true, out, fault);
}

void archive_close(struct archive *a)
{
	if (a == NULL)
		return;
	if (a->fd >= 0)
		close(a->fd);
	seekable_finish(&a->table);
	ZSTD_freeDCtx(a->context);
	buf_finish(&a->packed);
	buf_finish(&a->raw);
	free(a->starts);
	free(a->ends);
	free(a);
}

const char *archive_file(const struct archive *a)
{
	return a->name;
}

uint64_t archive_raw(const struct archive *a)
{
	return a->table.raw;
}

uint32_t archive_frames(const struct archive *a)
{
	return a->table.count;
}

void archive_hidden_at(const struct archive *a, uint64_t *at, uint64_t *len)
{
	*at = a->table.hidden.at;
	*len = a->table.hidden.packed;
}

enum err archive_hidden(struct archive *a, struct buf *out, struct fault *fault)
{
	const struct seek_frame *f = &a->table.hidden;
	struct slice text;
	size_t most = SEEKABLE_HEADER + SEEKABLE_MANIFEST;
	size_t len = f->packed < most ? f->packed : most;
	a->packed.len = 0;
	if (!buf_reserve(&a->packed, most))
		return fault_nomem(fault);
	enum err err = read_at(a, f->at, a->packed.data, len, fault);
	if (err)
		return fault_in(fault, a->name, err);
	if (!seekable_is_hidden((struct slice){a->packed.data, len}))
		return fault_set(fault, ERR_NOT_FOUND, "%s: the archive has no embedded manifest", a->name);
	if (len < f->packed || !seekable_hidden((struct slice){a->packed.data, len}, &text))
		return fault_set(fault, ERR_CORRUPT,
				 "%s: the embedded manifest is damaged: its size is wrong, or over %d bytes", a->name,
				 SEEKABLE_MANIFEST);
	buf_add(out, text.p, text.len);
	return buf_failed(out) ? fault_nomem(fault) : ERR_NONE;
}

static enum err in_frame(struct archive *a, uint32_t frame, enum err err, struct fault *fault);

/* --- frames --- */

static enum err unpack(struct archive *a, uint32_t number, struct fault *fault)
{
	assert(number < a->table.count);
	const struct seek_frame *f = &a->table.frames[number];
	a->packed.len = a->raw.len = 0;
	if (!buf_reserve(&a->packed, f->packed) || !buf_reserve(&a->raw, f->raw))
		return fault_nomem(fault);
	enum err err = read_at(a, f->at, a->packed.data, f->packed, fault);
	if (err)
		return err;
	size_t n = ZSTD_decompressDCtx(a->context, a->raw.data, f->raw, a->packed.data, f->packed);
	if (ZSTD_isError(n))
		return fault_set(fault, ERR_CORRUPT, "it is damaged: %s", ZSTD_getErrorName(n));
	if (n != f->raw)
		return fault_set(fault, ERR_CORRUPT, "it is damaged: it holds %zu bytes, the seek table says %u", n, f->raw);
	if (a->table.has_sums && checksum_frame((struct slice){a->raw.data, n}) != f->sum)
		return fault_set(fault, ERR_CORRUPT, "it is damaged: its checksum is not what the seek table says");
	a->raw.len = n;
	return ERR_NONE;
}

static enum err find_lines(struct archive *a, struct fault *fault)
{
	/* The shortest event. Shorter lines are refused, since there could be very many of them. */
	static const char shortest[] =
		"{\"seq\":1,\"time\":\"2026-11-22T18:00:00.123Z\",\"stream\":\"a\",\"type\":\"b\",\"data\":1}";
	const char *end = a->raw.data + a->raw.len;
	a->count = 0;
	for (const char *at = a->raw.data; at < end;) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		if (newline == NULL)
			return fault_set(fault, ERR_CORRUPT, "it does not end with a line");
		if ((size_t)(newline - at) < sizeof shortest - 1)
			return fault_set(fault, ERR_CORRUPT, "the line is not an event: %.*s", (int)(newline - at), at);
		if (a->count == a->cap) {
			uint32_t cap = a->cap ? a->cap * 2 : 4096;
			uint32_t *ends = realloc(a->ends, cap * sizeof *ends);
			if (ends == NULL)
				return fault_nomem(fault);
			a->ends = ends;
			a->cap = cap;
		}
		at = newline + 1;
		a->ends[a->count++] = (uint32_t)(at - a->raw.data);
	}
	return ERR_NONE;
}

enum err archive_unpack(struct archive *a, uint32_t frame, struct archive_lines *out, struct fault *fault)
{
	if (a->frame != frame) {
		a->frame = NO_FRAME;
		if (a->raw.cap > KEPT_RAW)
			buf_finish(&a->raw); /* a huge event does not occupy memory for ever */
		enum err err = unpack(a, frame, fault);
		if (!err)
			err = find_lines(a, fault);
		if (err)
			return in_frame(a, frame, err, fault);
		a->frame = frame;
	}
	*out = (struct archive_lines){buf_slice(&a->raw), a->ends, a->count};
	return ERR_NONE;
}

struct slice archive_line(const struct archive_lines *lines, uint32_t index)
{
	assert(index < lines->count);
	uint32_t from = index > 0 ? lines->ends[index - 1] : 0;
	return (struct slice){lines->bytes.p + from, lines->ends[index] - from - 1};
}

/* --- the first event of a frame --- */

/* Unpacks the first bytes of a frame. */
static enum err peek(struct archive *a, uint32_t number, char raw[PEEK_RAW], size_t *len, struct fault *fault)
{
	const struct seek_frame *f = &a->table.frames[number];
	size_t packed = f->packed < PEEK_PACKED ? f->packed : PEEK_PACKED;
	a->packed.len = 0;
	if (!buf_reserve(&a->packed, packed))
		return fault_nomem(fault);
	enum err err = read_at(a, f->at, a->packed.data, packed, fault);
	if (err)
		return err;
	ZSTD_inBuffer in = {a->packed.data, packed, 0};
	ZSTD_outBuffer out = {raw, PEEK_RAW, 0};
	ZSTD_DCtx_reset(a->context, ZSTD_reset_session_only);
	size_t rc = 1;
	while (rc != 0 && !ZSTD_isError(rc) && out.pos < out.size && in.pos < in.size)
		rc = ZSTD_decompressStream(a->context, &out, &in);
	if (ZSTD_isError(rc))
		return fault_set(fault, ERR_CORRUPT, "it is damaged: %s", ZSTD_getErrorName(rc));
	*len = out.pos;
	return ERR_NONE;
}

static enum err find_start(struct archive *a, uint32_t frame, struct frame_start *out, struct fault *fault)
{
	assert(frame < a->table.count);
	struct frame_start *p = &a->starts[frame];
	if (p->seq == 0) {
		char raw[PEEK_RAW];
		size_t len = 0;
		struct slice time;
		enum err err = peek(a, frame, raw, &len, fault);
		if (!err &&
		    (!envelope_read_start((struct slice){raw, len}, &p->seq, &time) || !clock_parse(time, &p->time_ms)))
			err = fault_set(fault, ERR_CORRUPT, "it does not begin with an event");
		if (err) {
			p->seq = 0;
			return err;
		}
	}
	*out = *p;
	return ERR_NONE;
}

/* The range of events in a frame, as far as the first events of it and of the next one can be read. */
static void name_events(struct archive *a, uint32_t frame, char *out, size_t size)
{
	struct frame_start first;
	struct frame_start next;
	bool begins = find_start(a, frame, &first, NULL) == ERR_NONE;
	bool ends = frame + 1 < a->table.count && find_start(a, frame + 1, &next, NULL) == ERR_NONE;
	if (begins && ends)
		snprintf(out, size, " (events %" PRIu64 " to %" PRIu64 ")", first.seq, next.seq - 1);
	else if (begins)
		snprintf(out, size, " (events from %" PRIu64 " on)", first.seq);
	else if (ends)
		snprintf(out, size, " (events before %" PRIu64 ")", next.seq);
}

/* Adds file, frame and events to a fault. */
static enum err in_frame(struct archive *a, uint32_t frame, enum err err, struct fault *fault)
{
	char events[80] = "";
	char where[NAME_LEN + 64 + sizeof events];
	if (err == ERR_CORRUPT)
		name_events(a, frame, events, sizeof events);
	snprintf(where, sizeof where, "%s: frame %u%s", a->name, frame, events);
	return fault_in(fault, where, err);
}

static enum err frame_start_of(struct archive *a, uint32_t frame, struct frame_start *out, struct fault *fault)
{
	enum err err = find_start(a, frame, out, fault);
	return err ? in_frame(a, frame, err, fault) : ERR_NONE;
}

/* The last frame that begins at or before `seq` and before `time_ms`; 0: none does. */
static enum err seek(struct archive *a, uint64_t seq, int64_t time_ms, uint32_t *frame, struct fault *fault)
{
	assert(a->table.count > 0);
	uint32_t low = 0;
	uint32_t high = a->table.count - 1;
	while (low < high) {
		uint32_t middle = low + (high - low + 1) / 2;
		struct frame_start p;
		enum err err = frame_start_of(a, middle, &p, fault);
		if (err)
			return err;
		if (p.seq <= seq && p.time_ms < time_ms)
			low = middle;
		else
			high = middle - 1;
	}
	*frame = low;
	return ERR_NONE;
}

enum err archive_seek(struct archive *a, uint64_t seq, uint32_t *frame, struct fault *fault)
{
	return seek(a, seq, INT64_MAX, frame, fault);
}

enum err archive_seek_time(struct archive *a, int64_t time_ms, uint32_t *frame, struct fault *fault)
{
	return seek(a, UINT64_MAX, time_ms, frame, fault);
}
