#include "store/archive/truncated_archive.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "event/envelope.h"

enum {
	PIECE = 128 * 1024,
	PEEK_MAX = 128, /* bytes of a line that include its seq and time */
};

/* A scan of lines, of which only the beginnings are kept. */
struct lines {
	char head[PEEK_MAX];
	size_t len;
	uint64_t last; /* the seq of the last whole line */
};

static void add(struct lines *l, const char *p, size_t n)
{
	for (const char *end = p + n; p < end;) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		size_t part = (size_t)((newline != NULL ? newline : end) - p);
		size_t kept = part < PEEK_MAX - l->len ? part : PEEK_MAX - l->len;
		uint64_t seq;
		struct slice time;
		assert(l->len + kept <= PEEK_MAX);
		memcpy(l->head + l->len, p, kept);
		l->len += kept;
		if (newline == NULL)
			return;
		if (envelope_read_start((struct slice){l->head, l->len}, &seq, &time))
			l->last = seq;
		l->len = 0;
		p = newline + 1;
	}
}

/* False: no more can be unpacked. */
static bool unpack(ZSTD_DCtx *context, struct slice packed, char *raw, struct lines *l)
{
	ZSTD_inBuffer in = {packed.p, packed.len, 0};
	ZSTD_outBuffer out = {raw, PIECE, PIECE};
	/* A full buffer may be followed by more of the same input. */
	while (in.pos < in.size || out.pos == out.size) {
		out.pos = 0;
		size_t rc = ZSTD_decompressStream(context, &out, &in);
		if (ZSTD_isError(rc))
			return false;
		add(l, raw, out.pos);
	}
	return true;
}

uint64_t truncated_archive_last(const char *path)
{
	struct lines l = {0};
	ZSTD_DCtx *context = ZSTD_createDCtx();
	char *packed = malloc(PIECE);
	char *raw = malloc(PIECE);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;
	bool more = context != NULL && packed != NULL && raw != NULL && fd >= 0;
	while (more && (n = read(fd, packed, PIECE)) > 0)
		more = unpack(context, (struct slice){packed, (size_t)n}, raw, &l);
	if (fd >= 0)
		close(fd);
	free(packed);
	free(raw);
	ZSTD_freeDCtx(context);
	return l.last;
}
