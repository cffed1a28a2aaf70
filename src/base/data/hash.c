#include "base/data/hash.h"

#include <pthread.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/system/random.h"

static unsigned char secret[XXH3_SECRET_DEFAULT_SIZE];
static pthread_once_t drawn = PTHREAD_ONCE_INIT;

static void draw_secret(void)
{
	for (size_t i = 0; i < sizeof secret; i += sizeof(uint64_t)) {
		uint64_t word = random_u64();
		memcpy(secret + i, &word, sizeof word);
	}
}

static uint64_t keyed(const void *bytes, size_t len)
{
	pthread_once(&drawn, draw_secret);
	return XXH3_64bits_withSecret(bytes, len, secret, sizeof secret);
}

uint64_t hash_text(struct slice text)
{
	return keyed(text.p, text.len);
}

uint64_t hash_pair(uint64_t a, uint64_t b)
{
	uint64_t both[2] = {a, b};
	return keyed(both, sizeof both);
}

uint64_t hash_texts(struct slice a, struct slice b)
{
	return hash_pair(hash_text(a), hash_text(b));
}

uint64_t hash_number(uint64_t n)
{
	return keyed(&n, sizeof n);
}

uint64_t hash_fixed(const void *bytes, size_t len, uint64_t seed)
{
	return XXH3_64bits_withSeed(bytes, len, seed);
}

uint64_t hash_xxh64(const void *bytes, size_t len)
{
	return XXH64(bytes, len, 0);
}
