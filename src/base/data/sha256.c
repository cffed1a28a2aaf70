#include "base/data/sha256.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

struct sha256 {
	EVP_MD_CTX *context;
};

static void begin(struct sha256 *s)
{
	int fine = EVP_DigestInit_ex(s->context, EVP_sha256(), NULL);
	assert(fine);
}

struct sha256 *sha256_create(void)
{
	struct sha256 *s = malloc(sizeof *s);
	if (s == NULL)
		return NULL;
	s->context = EVP_MD_CTX_new();
	if (s->context == NULL) {
		free(s);
		return NULL;
	}
	begin(s);
	return s;
}

void sha256_destroy(struct sha256 *s)
{
	if (s == NULL)
		return;
	EVP_MD_CTX_free(s->context);
	free(s);
}

void sha256_add(struct sha256 *s, const void *bytes, size_t n)
{
	int fine = EVP_DigestUpdate(s->context, bytes, n);
	assert(fine);
}

void sha256_end(struct sha256 *s, unsigned char digest[SHA256_LEN])
{
	int fine = EVP_DigestFinal_ex(s->context, digest, NULL);
	assert(fine);
	begin(s);
}

void sha256_text(const unsigned char digest[SHA256_LEN], char text[SHA256_TEXT_LEN + 1])
{
	for (int i = 0; i < SHA256_LEN; i++)
		snprintf(text + 2 * i, 3, "%02x", (unsigned)digest[i]);
}

bool sha256_of(struct slice bytes, unsigned char digest[SHA256_LEN])
{
	return EVP_Digest(bytes.p, bytes.len, digest, NULL, EVP_sha256(), NULL) == 1;
}

bool sha256_same(const unsigned char a[SHA256_LEN], const unsigned char b[SHA256_LEN])
{
	return CRYPTO_memcmp(a, b, SHA256_LEN) == 0;
}
