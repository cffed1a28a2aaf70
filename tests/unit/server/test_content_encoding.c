/* Bodies that come and go as zstd or gzip: any bytes, and no word of theirs is believed. */
#include <sys/resource.h>
#include <zlib.h>
#include <zstd.h>

#include "server/message/content_encoding.h"
#include "unit/check.h"

static struct fault fault;

/* Bytes that do not compress to nothing. */
static void fill(struct buf *b, size_t n)
{
	uint32_t state = 1;
	while (b->len < n) {
		state = state * 1664525 + 1013904223;
		buf_addc(b, (char)('a' + (state >> 24) % 16));
	}
	CHECK(!buf_failed(b));
}

static void pack(struct buf *out, struct slice bytes)
{
	size_t bound = ZSTD_compressBound(bytes.len);
	CHECK(buf_reserve(out, bound));
	size_t n = ZSTD_compress(out->data + out->len, bound, bytes.p, bytes.len, 3);
	CHECK(!ZSTD_isError(n));
	out->len += n;
}

static void bodies_of_every_length_come_back(void)
{
	/* Around the pieces in which they are unpacked. */
	static const size_t sizes[] = {0,      1,      100,    131072, 262143,  262144, 262145,
				       524287, 524288, 524289, 786432, 1000000, 3145728};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct buf plain;
		struct buf packed;
		struct buf got;
		buf_init(&plain);
		buf_init(&packed);
		buf_init(&got);
		fill(&plain, sizes[i]);
		pack(&packed, buf_slice(&plain));
		enum err err = content_decode(CONTENT_CODING_ZSTD, buf_slice(&packed), plain.len, &got, &fault);
		if (err)
			fprintf(stderr, "%zu bytes: %s\n", sizes[i], fault.text);
		CHECK(!err && slice_eq(buf_slice(&got), buf_slice(&plain)));
		got.len = 0;
		if (plain.len > 0)
			CHECK(content_decode(CONTENT_CODING_ZSTD, buf_slice(&packed), plain.len - 1, &got, &fault) ==
			      ERR_TOO_LARGE);
		buf_finish(&plain);
		buf_finish(&packed);
		buf_finish(&got);
	}
}

static void frames_in_a_row_are_one_body(void)
{
	struct buf packed;
	struct buf got;
	buf_init(&packed);
	buf_init(&got);
	pack(&packed, slice_of("one "));
	buf_add(&packed, "\x50\x2a\x4d\x18\x03\0\0\0abc", 11); /* to be skipped */
	pack(&packed, slice_of(""));
	pack(&packed, slice_of("two"));
	buf_adds(&got, "> ");
	CHECK(content_decode(CONTENT_CODING_ZSTD, buf_slice(&packed), 7, &got, &fault) == ERR_NONE);
	CHECK_SLICE(buf_slice(&got), "> one two");
	/* Each byte that is missing at the end is missed, but for where a frame ends. */
	for (size_t len = 0; len < packed.len; len++) {
		got.len = 0;
		enum err err = content_decode(CONTENT_CODING_ZSTD, (struct slice){packed.data, len}, 100, &got, &fault);
		CHECK(err == ERR_INVALID || (err == ERR_NONE && (got.len == 4)));
	}
	buf_finish(&packed);
	buf_finish(&got);
}

static void what_is_not_zstd_is_refused(void)
{
	static const char *const bodies[] = {
		"", "{", "{\"data\":1}", "\x28\xb5\x2f", "\x28\xb5\x2f\xfd", "\x1f\x8b\x08\0\0"};
	struct buf got;
	struct buf packed;
	buf_init(&got);
	buf_init(&packed);
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
		CHECK(content_decode(CONTENT_CODING_ZSTD, slice_of(bodies[i]), 100, &got, &fault) == ERR_INVALID);
		CHECK(fault.text[0] != '\0');
	}
	pack(&packed, slice_of("fine"));
	buf_addc(&packed, 'x');
	CHECK(content_decode(CONTENT_CODING_ZSTD, buf_slice(&packed), 100, &got, &fault) == ERR_INVALID);
	buf_finish(&got);
	buf_finish(&packed);
}

/* Much out of little: what it unpacks to is bounded, and so is the window it asks for. */
static void a_bomb_is_refused_at_once(void)
{
	struct buf zeros;
	struct buf packed;
	struct buf got;
	buf_init(&zeros);
	buf_init(&packed);
	buf_init(&got);
	CHECK(buf_reserve(&zeros, 64 << 20));
	memset(zeros.data, 0, 64 << 20);
	zeros.len = 64 << 20;
	pack(&packed, buf_slice(&zeros));
	CHECK(packed.len < 16384);
	CHECK(content_decode(CONTENT_CODING_ZSTD, buf_slice(&packed), 1000, &got, &fault) == ERR_TOO_LARGE &&
	      strstr(fault.text, "1000") != NULL);
	CHECK(got.cap <= 1 << 20);
	packed.len = 0;
	ZSTD_CCtx *c = ZSTD_createCCtx();
	ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, 27);
	ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0);
	CHECK(buf_reserve(&packed, ZSTD_compressBound(zeros.len)));
	ZSTD_inBuffer in = {zeros.data, zeros.len, 0};
	ZSTD_outBuffer out = {packed.data, packed.cap, 0};
	CHECK(ZSTD_compressStream2(c, &out, &in, ZSTD_e_continue) == 0 || in.pos > 0);
	while (ZSTD_compressStream2(c, &out, &in, ZSTD_e_end) != 0)
		;
	ZSTD_freeCCtx(c);
	got.len = 0;
	enum err err = content_decode(CONTENT_CODING_ZSTD, (struct slice){packed.data, out.pos}, 128 << 20, &got, &fault);
	CHECK(err == ERR_INVALID && got.cap <= 1 << 20); /* a window of 128 MiB */
	CHECK(strstr(fault.text, "window of more than 8 MiB") != NULL);
	buf_finish(&zeros);
	buf_finish(&packed);
	buf_finish(&got);
}

static void a_stream_can_be_read_as_it_comes(void)
{
	struct content_encoder *s = content_encoder_create(CONTENT_CODING_ZSTD);
	ZSTD_DCtx *d = ZSTD_createDCtx();
	struct buf piece;
	struct buf plain;
	struct buf got;
	buf_init(&piece);
	buf_init(&plain);
	buf_init(&got);
	CHECK(s != NULL && d != NULL);
	for (size_t i = 0; i < 20; i++) {
		size_t before = plain.len;
		fill(&plain, before + (i % 3 == 0 ? 1 : i % 3 == 1 ? 0 : 300000));
		struct slice fresh = {plain.data + before, plain.len - before};
		piece.len = 0;
		CHECK(content_encoder_add(s, fresh, i == 19, &piece, &fault) == ERR_NONE);
		ZSTD_inBuffer in = {piece.data, piece.len, 0};
		CHECK(buf_reserve(&got, fresh.len + 1));
		ZSTD_outBuffer out = {got.data + got.len, fresh.len + 1, 0};
		while (in.pos < in.size)
			CHECK(!ZSTD_isError(ZSTD_decompressStream(d, &out, &in)));
		got.len += out.pos;
		CHECK(slice_eq(buf_slice(&got), buf_slice(&plain)));
	}
	ZSTD_freeDCtx(d);
	content_encoder_destroy(s);
	content_encoder_destroy(NULL);
	buf_finish(&piece);
	buf_finish(&plain);
	buf_finish(&got);
}

/* As gzip does it. */
static void gzip(struct buf *out, struct slice bytes)
{
	z_stream z = {0};
	CHECK(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	CHECK(buf_reserve(out, deflateBound(&z, bytes.len)));
	z.next_in = (Bytef *)(uintptr_t)bytes.p;
	z.avail_in = (uInt)bytes.len;
	z.next_out = (Bytef *)out->data + out->len;
	z.avail_out = (uInt)(out->cap - out->len);
	CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
	out->len += z.total_out;
	deflateEnd(&z);
}

static void gzip_comes_back_in_every_size(void)
{
	static const size_t sizes[] = {0, 1, 1000, 262143, 262144, 262145, 524288, 1000000, 3145728};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct buf plain = {0};
		struct buf packed = {0};
		struct buf got = {0};
		fill(&plain, sizes[i]);
		gzip(&packed, buf_slice(&plain));
		CHECK(content_decode(CONTENT_CODING_GZIP, buf_slice(&packed), plain.len, &got, &fault) == ERR_NONE);
		CHECK(slice_eq(buf_slice(&got), buf_slice(&plain)));
		got.len = 0;
		if (plain.len > 0)
			CHECK(content_decode(CONTENT_CODING_GZIP, buf_slice(&packed), plain.len - 1, &got, &fault) ==
			      ERR_TOO_LARGE);
		buf_finish(&plain);
		buf_finish(&packed);
		buf_finish(&got);
	}
}

static void what_is_not_gzip_is_refused(void)
{
	static const char *const bodies[] = {
		"", "{", "{\"data\":1}", "\x1f", "\x1f\x8b", "\x1f\x8b\x08", "\x28\xb5\x2f\xfd"};
	struct buf packed = {0};
	struct buf got = {0};
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
		CHECK(content_decode(CONTENT_CODING_GZIP, slice_of(bodies[i]), 100, &got, &fault) == ERR_INVALID &&
		      fault.text[0] != '\0');
	gzip(&packed, slice_of("one "));
	size_t first = packed.len;
	gzip(&packed, slice_of(""));
	size_t second = packed.len;
	gzip(&packed, slice_of("two"));
	buf_adds(&got, "> ");
	CHECK(content_decode(CONTENT_CODING_GZIP, buf_slice(&packed), 7, &got, &fault) == ERR_NONE);
	CHECK_SLICE(buf_slice(&got), "> one two");
	for (size_t len = 0; len < packed.len; len++) {
		got.len = 0;
		enum err err = content_decode(CONTENT_CODING_GZIP, (struct slice){packed.data, len}, 100, &got, &fault);
		CHECK(err == (len == first || len == second ? ERR_NONE : ERR_INVALID));
	}
	buf_addc(&packed, 'x');
	CHECK(content_decode(CONTENT_CODING_GZIP, buf_slice(&packed), 100, &got, &fault) == ERR_INVALID);
	packed.len--;
	packed.data[packed.len - 6] ^= 1; /* of a checksum */
	CHECK(content_decode(CONTENT_CODING_GZIP, buf_slice(&packed), 100, &got, &fault) == ERR_INVALID);
	buf_finish(&packed);
	buf_finish(&got);
}

static void a_gzip_bomb_is_refused_at_once(void)
{
	struct buf zeros = {0};
	struct buf packed = {0};
	struct buf got = {0};
	CHECK(buf_reserve(&zeros, 64 << 20));
	memset(zeros.data, 0, 64 << 20);
	zeros.len = 64 << 20;
	gzip(&packed, buf_slice(&zeros));
	CHECK(packed.len < 100000);
	CHECK(content_decode(CONTENT_CODING_GZIP, buf_slice(&packed), 1000, &got, &fault) == ERR_TOO_LARGE);
	CHECK(strstr(fault.text, "1000") != NULL && got.cap <= 1 << 20);
	buf_finish(&zeros);
	buf_finish(&packed);
	buf_finish(&got);
}

static void a_gzip_stream_can_be_read_as_it_comes(void)
{
	struct content_encoder *s = content_encoder_create(CONTENT_CODING_GZIP);
	struct buf piece = {0};
	struct buf plain = {0};
	struct buf got = {0};
	z_stream z = {0};
	CHECK(s != NULL && content_encoder_coding(s) == CONTENT_CODING_GZIP &&
	      content_encoder_create(CONTENT_CODING_NONE) == NULL);
	CHECK(inflateInit2(&z, 15 + 16) == Z_OK);
	for (size_t i = 0; i < 20; i++) {
		size_t before = plain.len;
		fill(&plain, before + (i % 3 == 0 ? 1 : i % 3 == 1 ? 0 : 300000));
		piece.len = 0;
		CHECK(content_encoder_add(s, (struct slice){plain.data + before, plain.len - before}, i == 19, &piece,
					  &fault) == ERR_NONE);
		CHECK(buf_reserve(&got, plain.len - before + 1));
		z.next_in = (Bytef *)piece.data;
		z.avail_in = (uInt)piece.len;
		z.next_out = (Bytef *)got.data + got.len;
		z.avail_out = (uInt)(plain.len - before + 1);
		int rc = inflate(&z, Z_SYNC_FLUSH);
		CHECK(z.avail_in == 0 && (i == 19 ? rc == Z_STREAM_END : rc == Z_OK || rc == Z_BUF_ERROR));
		got.len += plain.len - before + 1 - z.avail_out;
		CHECK(slice_eq(buf_slice(&got), buf_slice(&plain)));
	}
	inflateEnd(&z);
	content_encoder_destroy(s);
	buf_finish(&piece);
	buf_finish(&plain);
	buf_finish(&got);
}

int main(void)
{
	RUN(bodies_of_every_length_come_back);
	RUN(frames_in_a_row_are_one_body);
	RUN(what_is_not_zstd_is_refused);
	RUN(a_bomb_is_refused_at_once);
	RUN(gzip_comes_back_in_every_size);
	RUN(what_is_not_gzip_is_refused);
	RUN(a_gzip_bomb_is_refused_at_once);
	RUN(a_gzip_stream_can_be_read_as_it_comes);
	RUN(a_stream_can_be_read_as_it_comes);
	return check_end();
}
