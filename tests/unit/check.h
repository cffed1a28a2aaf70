/* The whole test framework: CHECK says where and what, RUN names the test. */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                                    \
	do {                                                                                                                \
		if (!(condition)) {                                                                                         \
			fprintf(stderr, "%s:%d: in %s: %s\n", __FILE__, __LINE__, __func__, #condition);                    \
			exit(1);                                                                                            \
		}                                                                                                           \
	} while (0)

#define CHECK_SLICE(got, text)                                                                                              \
	do {                                                                                                                \
		struct slice check_slice = (got);                                                                           \
		if (check_slice.len != strlen(text) || memcmp(check_slice.p, text, check_slice.len) != 0) {                 \
			fprintf(stderr, "%s:%d: in %s: got %.*s, wanted %s\n", __FILE__, __LINE__, __func__,                \
				(int)check_slice.len, check_slice.p, text);                                                 \
			exit(1);                                                                                            \
		}                                                                                                           \
	} while (0)

#define RUN(test)                                                                                                           \
	do {                                                                                                                \
		test();                                                                                                     \
		puts("ok " #test);                                                                                          \
	} while (0)

/* How heavy a test is: 1, or less where the binary is slow. */
static inline double test_scale(void)
{
	const char *text = getenv("TIDEMARK_TEST_SCALE");
	double scale = text != NULL ? strtod(text, NULL) : 1;
	return scale > 0 ? scale : 1;
}

#endif
