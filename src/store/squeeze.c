#include "store/squeeze.h"

#include <stdlib.h>
#include <zstd.h>

enum {
	LEVEL = 3,
	PIECE = 256 * 1024,
	/* The window that a sender may ask us to set aside: what RFC 8878 wants of every receiver. */
	WINDOW_LOG_MAX = 23,
};

struct squeeze {
	ZSTD_CCtx *context;
};

struct squeeze *squeeze_create(void)
{
	struct squeeze *s = malloc(sizeof *s);
	if (s == NULL)
		return NULL;
	s->context = ZSTD_createCCtx();
	if (s->context == NULL) {
		free(s);
		return NULL;
	}
	ZSTD_CCtx_setParameter(s->context, ZSTD_c_compressionLevel, LEVEL);
	return s;
}

void squeeze_destroy(struct squeeze *s)
{
	if (s == NULL)
		return;
	ZSTD_freeCCtx(s->context);
	free(s);
}

enum err squeeze_add(struct squeeze *s, struct slice bytes, bool end, struct buf *out, struct fault *fault)
{
	ZSTD_inBuffer in = {bytes.p, bytes.len, 0};
	size_t left;
	do {
		if (!buf_reserve(out, PIECE))
			return fault_set(fault, ERR_NOMEM, "out of memory");
		ZSTD_outBuffer to = {out->data + out->len, out->cap - out->len, 0};
		left = ZSTD_compressStream2(s->context, &to, &in, end ? ZSTD_e_end : ZSTD_e_flush);
		if (ZSTD_isError(left))
			return fault_set(fault, ERR_NOMEM, "cannot compress: %s", ZSTD_getErrorName(left));
		out->len += to.pos;
	} while (left > 0);
	return ERR_NONE;
}

static enum err unpack(ZSTD_DCtx *context, struct slice packed, size_t max, struct buf *out, struct fault *fault)
{
	ZSTD_inBuffer in = {packed.p, packed.len, 0};
	size_t start = out->len;
	size_t rc = 1; /* bytes wanted next; 0: a frame has ended */
	bool full = true;
	while (in.pos < in.size || full) {
		if (!buf_reserve(out, PIECE))
			return fault_set(fault, ERR_NOMEM, "out of memory");
		ZSTD_outBuffer to = {out->data + out->len, PIECE, 0};
		rc = ZSTD_decompressStream(context, &to, &in);
		if (ZSTD_isError(rc))
			return fault_set(fault, ERR_INVALID, "the body is not zstd: %s", ZSTD_getErrorName(rc));
		out->len += to.pos;
		full = to.pos == to.size && rc != 0; /* a frame that has ended holds nothing back */
		if (out->len - start > max)
			return fault_set(fault, ERR_TOO_LARGE, "the body unpacks to more than %zu bytes", max);
	}
	return rc == 0 ? ERR_NONE : fault_set(fault, ERR_INVALID, "the body is zstd, but cut short");
}

enum err unsqueeze(struct slice packed, size_t max, struct buf *out, struct fault *fault)
{
	ZSTD_DCtx *context = ZSTD_createDCtx();
	if (context == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	enum err err = packed.len == 0 ? fault_set(fault, ERR_INVALID, "the body is empty: no zstd frame")
				       : unpack(context, packed, max, out, fault);
	ZSTD_freeDCtx(context);
	return err;
}
