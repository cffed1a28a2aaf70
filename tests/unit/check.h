/* The test framework. CHECK ends the test in which it fails, RUN runs a test in a process of its own, and main returns
 * check_end().
 *
 * What main prepares before the first RUN, each test has as a copy: memory and open files, but no threads. A store that is
 * open in main must not be used in a test: SQLite's connections do not survive a fork. */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                                    \
	do {                                                                                                                \
		if (!(condition))                                                                                           \
			check_fail(__FILE__, __LINE__, __func__, "%s", #condition);                                         \
	} while (0)

#define CHECK_SLICE(got, text)                                                                                              \
	do {                                                                                                                \
		struct slice check_slice = (got);                                                                           \
		if (check_slice.len != strlen(text) || memcmp(check_slice.p, text, check_slice.len) != 0)                   \
			check_fail(__FILE__, __LINE__, __func__, "got %.*s, wanted %s", (int)check_slice.len,               \
				   check_slice.p, text);                                                                    \
	} while (0)

#define RUN(test) check_run(#test, test)

/* Prints the place, the test's name and the message, and ends the process of the test. Any thread may call it. */
_Noreturn void check_fail(const char *file, int line, const char *function, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* `describe` is called when a check fails, to print what the message cannot say: a seed, the step of an enumeration. */
void check_on_failure(void (*describe)(void));

/* Runs a test in a child process and prints whether it passed: it fails where a check fails, where the process is killed by
 * a signal, and where a sanitizer reports something, leaks included. */
void check_run(const char *name, void (*test)(void));

/* Prints how many tests failed; returns the exit status: 0 where some ran and none failed. */
int check_end(void);

/* How heavy a test is: 1, or less where the binary is slow. */
double test_scale(void);

#endif
