#include "server/message/content_encoding.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum {
	LEVEL = 3,
	GZIP_LEVEL = 4,        /* twice as fast as 6, and a few percent larger */
	GZIP_WINDOW = 15 + 16, /* a window of 32 KiB, with gzip header and trailer */
	PIECE = 256 * 1024,
	/* The largest window that a sender may demand: the one that RFC 8878 asks every decoder to support. */
	WINDOW_LOG_MAX = 23,
};

const char *content_coding_name(enum content_coding c)
{
	static const char *const names[] = {[CONTENT_CODING_GZIP] = "gzip", [CONTENT_CODING_ZSTD] = "zstd"};
	return names[c];
}

struct content_encoder {
	enum content_coding coding;
	ZSTD_CCtx *context;
	z_stream gzip;
};

static bool begin(struct content_encoder *s)
{
	if (s->coding == CONTENT_CODING_GZIP)
		return deflateInit2(&s->gzip, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) == Z_OK;
	s->context = ZSTD_createCCtx();
	if (s->context != NULL)
		ZSTD_CCtx_setParameter(s->context, ZSTD_c_compressionLevel, LEVEL);
	return s->context != NULL;
}

struct content_encoder *content_encoder_create(enum content_coding c)
{
	struct content_encoder *s = c != CONTENT_CODING_NONE ? calloc(1, sizeof *s) : NULL;
	if (s == NULL)
		return NULL;
	s->coding = c;
	if (begin(s))
		return s;
	free(s);
	return NULL;
}

void content_encoder_destroy(struct content_encoder *s)
{
	if (s == NULL)
		return;
	if (s->coding == CONTENT_CODING_GZIP)
		deflateEnd(&s->gzip);
	ZSTD_freeCCtx(s->context);
	free(s);
}

enum content_coding content_encoder_coding(const struct content_encoder *s)
{
	return s->coding;
}

static enum err add_zstd(struct content_encoder *s, struct slice bytes, bool end, struct buf *out, struct fault *fault)
{
	ZSTD_inBuffer in = {bytes.p, bytes.len, 0};
	size_t left;
	do {
		if (!buf_reserve(out, PIECE))
			return fault_nomem(fault);
		ZSTD_outBuffer to = {out->data + out->len, out->cap - out->len, 0};
		left = ZSTD_compressStream2(s->context, &to, &in, end ? ZSTD_e_end : ZSTD_e_flush);
		if (ZSTD_isError(left))
			return fault_set(fault, ERR_NOMEM, "cannot compress: %s", ZSTD_getErrorName(left));
		out->len += to.pos;
	} while (left > 0);
	return ERR_NONE;
}

/* zlib counts in unsigned int */
static uInt part(size_t n)
{
	return n < UINT_MAX ? (uInt)n : UINT_MAX;
}

/* Input that zlib has not been given yet follows what it was given. */
static enum err add_gzip(struct content_encoder *s, struct slice bytes, bool end, struct buf *out, struct fault *fault)
{
	z_stream *z = &s->gzip;
	bool more = true;
	while (more) {
		if (!buf_reserve(out, PIECE))
			return fault_nomem(fault);
		uInt given = part(bytes.len);
		z->next_in = (Bytef *)(uintptr_t)bytes.p;
		z->avail_in = given;
		z->next_out = (Bytef *)out->data + out->len;
		z->avail_out = PIECE;
		bool last = given == bytes.len;
		int rc = deflate(z, !last ? Z_NO_FLUSH : end ? Z_FINISH : Z_SYNC_FLUSH);
		if (rc == Z_STREAM_ERROR)
			return fault_set(fault, ERR_NOMEM, "cannot compress");
		size_t used = given - z->avail_in;
		out->len += PIECE - z->avail_out;
		bytes = (struct slice){bytes.p + used, bytes.len - used};
		more = bytes.len > 0 || z->avail_out == 0 || (end && rc != Z_STREAM_END);
	}
	return ERR_NONE;
}

enum err content_encoder_add(struct content_encoder *s, struct slice bytes, bool end, struct buf *out, struct fault *fault)
{
	return s->coding == CONTENT_CODING_GZIP ? add_gzip(s, bytes, end, out, fault) : add_zstd(s, bytes, end, out, fault);
}

static enum err too_much(size_t max, struct fault *fault)
{
	return fault_set(fault, ERR_TOO_LARGE, "the body decompresses to more than %zu bytes", max);
}

static enum err unzstd(ZSTD_DCtx *context, struct slice packed, size_t max, struct buf *out, struct fault *fault)
{
	ZSTD_inBuffer in = {packed.p, packed.len, 0};
	size_t start = out->len;
	size_t rc = 1; /* size hint for the next read; 0: a frame has ended */
	bool full = true;
	while (in.pos < in.size || full) {
		if (!buf_reserve(out, PIECE))
			return fault_nomem(fault);
		ZSTD_outBuffer to = {out->data + out->len, PIECE, 0};
		rc = ZSTD_decompressStream(context, &to, &in);
		if (ZSTD_isError(rc) && ZSTD_getErrorCode(rc) == ZSTD_error_frameParameter_windowTooLarge)
			return fault_set(
				fault, ERR_INVALID,
				"the zstd body was compressed with a window of more than %d MiB (--long, or a level "
				"above 19): compress "
				"it with a smaller window",
				1 << (WINDOW_LOG_MAX - 20));
		if (ZSTD_isError(rc))
			return fault_set(fault, ERR_INVALID, "the body is not zstd: %s", ZSTD_getErrorName(rc));
		out->len += to.pos;
		full = to.pos == to.size && rc != 0; /* nothing is buffered after the end of a frame */
		if (out->len - start > max)
			return too_much(max, fault);
	}
	return rc == 0 ? ERR_NONE : fault_set(fault, ERR_INVALID, "the zstd body is truncated");
}

/* Several members in a row form one body, as with zstd frames (RFC 1952, 2.2). */
static enum err gunzip(z_stream *z, struct slice packed, size_t max, struct buf *out, struct fault *fault)
{
	size_t start = out->len;
	int rc = Z_OK;
	while (packed.len > 0 || (rc != Z_STREAM_END && z->avail_out == 0)) {
		if (!buf_reserve(out, PIECE))
			return fault_nomem(fault);
		if (rc == Z_STREAM_END && inflateReset(z) != Z_OK)
			return fault_nomem(fault);
		uInt given = part(packed.len);
		z->next_in = (Bytef *)(uintptr_t)packed.p;
		z->avail_in = given;
		z->next_out = (Bytef *)out->data + out->len;
		z->avail_out = PIECE;
		rc = inflate(z, Z_NO_FLUSH);
		if (rc == Z_MEM_ERROR)
			return fault_nomem(fault);
		if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
			return fault_set(fault, ERR_INVALID, "the body is not gzip: %s",
					 z->msg != NULL ? z->msg : "it is damaged");
		size_t used = given - z->avail_in;
		out->len += PIECE - z->avail_out;
		packed = (struct slice){packed.p + used, packed.len - used};
		if (out->len - start > max)
			return too_much(max, fault);
	}
	return rc == Z_STREAM_END ? ERR_NONE : fault_set(fault, ERR_INVALID, "the gzip body is truncated");
}

enum err content_decode(enum content_coding c, struct slice packed, size_t max, struct buf *out, struct fault *fault)
{
	enum err err = ERR_NONE;
	if (packed.len == 0)
		return fault_set(fault, ERR_INVALID, "the body is empty, and not valid %s", content_coding_name(c));
	if (c == CONTENT_CODING_GZIP) {
		z_stream z = {.avail_out = 1};
		if (inflateInit2(&z, GZIP_WINDOW) != Z_OK)
			return fault_nomem(fault);
		err = gunzip(&z, packed, max, out, fault);
		inflateEnd(&z);
		return err;
	}
	ZSTD_DCtx *context = ZSTD_createDCtx();
	if (context == NULL)
		return fault_nomem(fault);
	ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	err = unzstd(context, packed, max, out, fault);
	ZSTD_freeDCtx(context);
	return err;
}
